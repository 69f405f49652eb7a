/* rpc_writer.c: see rpc_writer.h. */
