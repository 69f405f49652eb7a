/* rpc.c: see rpc.h. */
