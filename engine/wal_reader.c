/* wal_reader.c */
