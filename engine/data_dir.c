/* data_dir.c */
