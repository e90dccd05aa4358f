/* alloc.c - blocks with a small head that remembers their size.
 *
 * Small blocks come from aligned_alloc, large ones from the system directly: their untouched
 * pages cost nothing, they grow without a copy, and huge pages are asked for.  A large block begins
 * where a huge page does, also when it has moved: else the system must take its huge pages apart. */
#include "wingspan/core/alloc.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { ALIGN = 64, LARGE = 1 << 20, HUGE = 2 << 20, LEAST = 4096 };

typedef struct head {
    size_t bytes; /* of the whole block, head included */
    size_t mapped;
} head;

static _Atomic int64_t calls, held, fail_at;
static _Atomic int here = -1; /* rank, once it is known */

static head *head_of(void *p)
{
    return (head *)(void *)((char *)p - ALIGN);
}

static int told_to_fail(void)
{
    int64_t k = atomic_fetch_add(&calls, 1) + 1;

    return atomic_load(&fail_at) == k;
}

static ws_err no_memory(const char *what, double bytes)
{
    char who[32] = "this rank";

    if (atomic_load(&here) >= 0) snprintf(who, sizeof who, "rank %d", atomic_load(&here));
    return ws_fail(WS_ERR_NOMEM,
                   "out of memory: the %s needs %.4g MB on %s: use more ranks, or a smaller "
                   "--width or --batch",
                   what, bytes / 1e6, who);
}

/* Addresses for a large block, from the start of a huge page on; nothing is there yet. */
static void *reserve(size_t bytes)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE), pages = (bytes + page - 1) / page * page, skip;
    char *at =
        mmap(NULL, pages + HUGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    if (at == MAP_FAILED) return MAP_FAILED;
    skip = (HUGE - (uintptr_t)at % HUGE) % HUGE;
    if (skip > 0) munmap(at, skip);
    if (skip < HUGE) munmap(at + skip + pages, HUGE - skip);
    return at + skip;
}

static void *map(size_t bytes)
{
    void *at = reserve(bytes);

    if (at == MAP_FAILED) return MAP_FAILED;
    if (mmap(at, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) ==
        MAP_FAILED) {
        munmap(at, bytes);
        return MAP_FAILED;
    }
    madvise(at, bytes, MADV_HUGEPAGE);
    return at;
}

/* In place where there is room, else to the start of a huge page. */
static void *remap(void *old, size_t had, size_t bytes)
{
    void *at = mremap(old, had, bytes, 0), *to;

    if (at != MAP_FAILED) return at;
    if ((to = reserve(bytes)) == MAP_FAILED) return MAP_FAILED;
    if ((at = mremap(old, had, bytes, MREMAP_MAYMOVE | MREMAP_FIXED, to)) == MAP_FAILED)
        munmap(to, bytes);
    return at;
}

static void *block_create(size_t bytes)
{
    int large = bytes >= LARGE;
    void *at;

    if (large) {
        if ((at = map(bytes)) == MAP_FAILED) return NULL;
    } else {
        bytes = (bytes + ALIGN - 1) / ALIGN * ALIGN;
        if (!(at = aligned_alloc(ALIGN, bytes))) return NULL;
        memset(at, 0, bytes);
    }
    *(head *)at = (head){bytes, (size_t)large};
    atomic_fetch_add(&held, (int64_t)bytes);
    return (char *)at + ALIGN;
}

static void block_free(void *p)
{
    head *h = head_of(p);

    atomic_fetch_sub(&held, (int64_t)h->bytes);
    if (h->mapped)
        munmap(h, h->bytes);
    else
        free(h);
}

/* n * size + head, or 0 if that is no size at all. */
static size_t bytes_of(int64_t n, size_t size)
{
    if (n < 0 || (size > 0 && (uint64_t)n > (SIZE_MAX / 4) / size)) return 0;
    return (size_t)n * size + ALIGN;
}

ws_err ws_alloc(void *out, int64_t n, size_t size, const char *what)
{
    size_t bytes = bytes_of(n, size);
    void *p = NULL;

    memcpy(out, &p, sizeof p);
    if (n == 0) return WS_OK;
    if (!told_to_fail() && bytes > 0) p = block_create(bytes);
    if (!p) return no_memory(what, (double)n * (double)size);
    memcpy(out, &p, sizeof p);
    return WS_OK;
}

/* A larger block in place of p; NULL leaves p as it was. */
static void *block_grow(void *p, size_t bytes)
{
    head *h = head_of(p);
    void *q;

    if (h->mapped) {
        size_t old = h->bytes;

        /* Whole ones: what is left of one when it ends in the middle stays small. */
        bytes = (bytes + HUGE - 1) / HUGE * HUGE;
        if ((q = remap(h, old, bytes)) == MAP_FAILED) return NULL;
        ((head *)q)->bytes = bytes;
        atomic_fetch_add(&held, (int64_t)bytes - (int64_t)old);
        return (char *)q + ALIGN;
    }
    if (!(q = block_create(bytes))) return NULL;
    memcpy(q, p, (h->bytes < bytes ? h->bytes : bytes) - ALIGN);
    block_free(p);
    return q;
}

ws_err ws_grow(void *where, int64_t *capacity, int64_t n, size_t size, const char *what)
{
    int64_t want = *capacity + *capacity / 2;
    size_t bytes;
    void *p, *q = NULL;

    if (n <= *capacity) return WS_OK;
    if (want < n) want = n;
    if (size < LEAST && want < (int64_t)(LEAST / size)) want = (int64_t)(LEAST / size);
    memcpy(&p, where, sizeof p);
    bytes = bytes_of(want, size);
    if (!told_to_fail() && bytes > 0) q = p ? block_grow(p, bytes) : block_create(bytes);
    if (!q) return no_memory(what, (double)want * (double)size);
    memcpy(where, &q, sizeof q);
    *capacity = want;
    return WS_OK;
}

void ws_shrink(void *where, int64_t n, size_t size)
{
    size_t bytes = bytes_of(n, size), old;
    void *p, *q;

    memcpy(&p, where, sizeof p);
    if (!p || !head_of(p)->mapped || bytes < LARGE || bytes >= head_of(p)->bytes) return;
    old = head_of(p)->bytes;
    if ((q = mremap(head_of(p), old, bytes, MREMAP_MAYMOVE)) == MAP_FAILED) return;
    ((head *)q)->bytes = bytes;
    atomic_fetch_sub(&held, (int64_t)(old - bytes));
    q = (char *)q + ALIGN;
    memcpy(where, &q, sizeof q);
}

void ws_free(void *where)
{
    void *p, *none = NULL;

    memcpy(&p, where, sizeof p);
    if (p) block_free(p);
    memcpy(where, &none, sizeof none);
}

void ws_alloc_fail_at(int64_t k)
{
    atomic_store(&fail_at, k > 0 ? atomic_load(&calls) + k : 0);
}

int64_t ws_alloc_calls(void)
{
    return atomic_load(&calls);
}

int64_t ws_alloc_bytes(void)
{
    return atomic_load(&held);
}

void ws_alloc_from_env(int rank)
{
    const char *text = getenv("WINGSPAN_FAIL_ALLOC");
    long long k;
    int who;

    atomic_store(&here, rank);
    if (text && sscanf(text, "%d:%lld", &who, &k) == 2 && who == rank) ws_alloc_fail_at(k);
}
