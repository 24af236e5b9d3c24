/* Refuses connections to the outside in every process that loads it, whatever language it is in.

   Loopback and private addresses are inside, as in outbound.py. What is refused is written to the
   file that SP_OUTBOUND_FILE names. Of libc: connect(2), sendto(2), getaddrinfo(3). */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void tell(const char *what, const char *where) {
    const char *path = getenv("SP_OUTBOUND_FILE");
    char line[512];
    int size = snprintf(line, sizeof line, "%d native: %s %s\n", getpid(), what, where);
    int file = path ? open(path, O_WRONLY | O_APPEND | O_CLOEXEC) : -1;
    if (file < 0) return;
    if (write(file, line, size < (int)sizeof line ? size : (int)sizeof line - 1) < 0) {}
    close(file);
}

static int outside4(uint32_t a) {
    return !(a >> 24 == 127 || a >> 24 == 10 || a >> 24 == 0 || a >> 20 == 0xac1 || a >> 16 == 0xc0a8
             || a >> 16 == 0xa9fe || a >> 8 == 0xc00002 || a >> 8 == 0xc63364 || a >> 8 == 0xcb0071);
}

static int outside(const struct sockaddr *to, const char *what) {
    char name[INET6_ADDRSTRLEN] = "";
    if (to == NULL) return 0;
    if (to->sa_family == AF_INET) {
        const struct sockaddr_in *v4 = (const struct sockaddr_in *)to;
        if (!outside4(ntohl(v4->sin_addr.s_addr))) return 0;
        inet_ntop(AF_INET, &v4->sin_addr, name, sizeof name);
    } else if (to->sa_family == AF_INET6) {
        const struct in6_addr *v6 = &((const struct sockaddr_in6 *)to)->sin6_addr;
        if (IN6_IS_ADDR_V4MAPPED(v6)) {
            uint32_t a;
            memcpy(&a, v6->s6_addr + 12, 4);
            if (!outside4(ntohl(a))) return 0;
        } else if (v6->s6_addr[0] >> 5 != 1) return 0; /* only 2000::/3 is of the world */
        inet_ntop(AF_INET6, v6, name, sizeof name);
    } else return 0;
    tell(what, name);
    errno = ECONNREFUSED;
    return 1;
}

int connect(int fd, const struct sockaddr *to, socklen_t size) {
    int (*real)(int, const struct sockaddr *, socklen_t) = dlsym(RTLD_NEXT, "connect");
    return outside(to, "connect") ? -1 : real(fd, to, size);
}

ssize_t sendto(int fd, const void *data, size_t length, int flags, const struct sockaddr *to,
               socklen_t size) {
    ssize_t (*real)(int, const void *, size_t, int, const struct sockaddr *, socklen_t) =
        dlsym(RTLD_NEXT, "sendto");
    return outside(to, "sendto") ? -1 : real(fd, data, length, flags, to, size);
}

int getaddrinfo(const char *host, const char *service, const struct addrinfo *hints,
                struct addrinfo **found) {
    int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **) =
        dlsym(RTLD_NEXT, "getaddrinfo");
    unsigned char raw[16];
    char own[256] = "";
    gethostname(own, sizeof own - 1);
    if (host && strchr(host, '.') && strcmp(host, own) && inet_pton(AF_INET, host, raw) != 1) {
        tell("getaddrinfo", host);
        return EAI_NONAME;
    }
    return real(host, service, hints, found);
}
