/* wal_window.h: a window on the ring: a buffer that slides over one slot's file and reads ahead of what is
 * asked for. The walk and the search (wal_reader.h) look at the ring through it. It alone deals with the
 * world's faults:
 *   - a read that does less than asked goes on where it stopped;
 *   - after EIO the window reads sector by sector, and only as far as somebody needs the bytes, so
 *     that a bad sector is known exactly and hurts only who needs it;
 *   - a file that ends early is an error, not an end of the log.
 * The window grows only for who asks for more at once than it holds. Who takes a length from a header asks only
 * for one that is possible, inside its segment and at all, so that the memory is bounded by the largest group
 * there may be.
 *
 * Digests that are checked behind the walk: the groups that it has passed lie in the window's buffer, one
 * behind the other (a stretch). When the window slides, the helper gets the stretch, buffer and all, and
 * the window goes on in another buffer: in the one whose stretch the helper has done before. So reading,
 * checksums and the caller's work go on beside the digests of what was read just before:
 *
 *     this thread   read A | walk A | read B | walk B | B's first digests | read A' | walk A' ...
 *     helper                        | digests of A                        | the rest of B's ...
 *
 * One thread at a time. */
#ifndef URN_ENGINE_WAL_WINDOW_H
#define URN_ENGINE_WAL_WINDOW_H

#include "engine/data_dir.h"
#include "engine/helper.h"

#define WAL_NOWHERE UINT64_MAX

struct wal_buffer {
    uint8_t *bytes;
    uint64_t capacity_bytes;
};

/* Groups that were walked and whose digests are still to be checked. */
struct wal_stretch {
    const uint8_t *bytes;
    uint64_t length_bytes; /* 0: none */
    bool holds;            /* what the check came to */
};

struct wal_deferral {
    bool on;
    struct helper *helper;
    struct wal_stretch walked; /* in the window's buffer */
    struct wal_stretch given;  /* the helper's until it is waited for */
    struct wal_buffer other;   /* where that one lies */
    bool all_hold;
};

/* wal_window.c alone writes it; its users read what they need, of the deferral only whether it is on. */
struct wal_window {
    const struct data_dir *data_dir;
    uint64_t read_bytes;  /* how much is read at once where the disk is sound */
    struct os_file *file; /* NULL before the first slot */
    uint32_t slot;
    char name[DATA_DIR_NAME_MAX];
    struct wal_buffer buffer;
    struct wal_deferral deferral;
    uint64_t begin;        /* offset in the file of the first byte in the buffer; whole sectors */
    uint64_t filled_bytes; /* how many are there */
    uint64_t bad_offset;   /* what cannot be read, right behind those; or WAL_NOWHERE */
};

/* Bytes of the file at an offset, as far as they are there. */
struct wal_view {
    const uint8_t *bytes;
    uint64_t available_bytes;
};

/* Before the first slot; read_bytes: how much to read at once, a segment at most. data_dir must outlive it.
 * After a failure it may be closed, or not. */
enum urn_code wal_window_begin(struct wal_window *window, const struct data_dir *data_dir,
                               uint64_t read_bytes, struct urn_error *error);

/* Waits for the helper where that has a stretch. Of one that is all zeros, too. */
void wal_window_close(struct wal_window *window);

/* Looks at this slot's file from now on. URN_DAMAGED: it is missing. */
enum urn_code wal_window_choose_slot(struct wal_window *window, uint32_t slot,
                                     struct urn_error *error);

/* Shows the file from offset on: `bytes` bytes at least, but for the segment's end and for what
 * cannot be read (window->bad_offset then says from where on). Valid until the next call. */
enum urn_code wal_window_show(struct wal_window *window, uint64_t offset, uint64_t bytes,
                              struct wal_view *view, struct urn_error *error);

/* Forgets what was read, so that it is read again. */
void wal_window_forget(struct wal_window *window);

/* Before the first slot: from now on the digests of what is noted are checked behind the walk. */
void wal_window_defer_digests(struct wal_window *window, struct helper *helper);

/* A group was walked: it stands in the window's buffer, right behind the one noted before it where that has
 * not left the buffer. Deferring only. */
void wal_window_note_walked(struct wal_window *window, const uint8_t *group, uint32_t length_bytes);

/* Waits. Whether all that was noted has the digests that it says. Deferring only. */
bool wal_window_settle(struct wal_window *window);

/* Opens a slot's file for reading; name is set in any case. URN_DAMAGED: it is missing. */
enum urn_code wal_segment_open(const struct data_dir *data_dir, uint32_t slot,
                               char name[DATA_DIR_NAME_MAX], struct os_file **file,
                               struct urn_error *error);

#endif
