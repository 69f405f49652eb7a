/* snapshot_file.c */
