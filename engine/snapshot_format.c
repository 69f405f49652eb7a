/* snapshot_format.c */
