/* wal_format.c */
