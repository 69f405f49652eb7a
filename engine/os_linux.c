/* os_linux.c */
