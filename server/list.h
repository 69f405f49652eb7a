/* list.h: doubly linked lists through a member of their elements; constant time, no memory. */
#ifndef URN_SERVER_LIST_H
#define URN_SERVER_LIST_H

#include <stdbool.h>
#include <stddef.h>

/* A list's head, or a place in one. Unlinked: points at itself. */
struct link {
    struct link *previous, *next;
};

/* The element whose member `member` is at `link`. */
#define list_element(link, type, member) ((type *)(void *)((char *)(link)-offsetof(type, member)))

static inline void link_init(struct link *link)
{
    link->previous = link;
    link->next = link;
}

/* Of a head: the list is empty. Of an element: it is in no list. */
static inline bool link_is_alone(const struct link *link)
{
    return link->next == link;
}

static inline void list_append(struct link *head, struct link *link)
{
    link->previous = head->previous;
    link->next = head;
    head->previous->next = link;
    head->previous = link;
}

/* Takes it out of whichever list it is in; nothing happens when it is in none. */
static inline void list_remove(struct link *link)
{
    link->previous->next = link->next;
    link->next->previous = link->previous;
    link_init(link);
}

#endif
