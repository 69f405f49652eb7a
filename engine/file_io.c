/* file_io.c */
