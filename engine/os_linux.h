/* os_linux.h: what the files of the real system share with each other. */
#ifndef URN_ENGINE_OS_LINUX_H
#define URN_ENGINE_OS_LINUX_H

struct os_file {
    int fd;
};

#endif
