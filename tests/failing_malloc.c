// Preloaded before the C library: counts what is allocated, and fails an allocation on demand.
//
// (a) What can fail is what a module asks the C library for, known by the address that a call returns to; the data of
//     arrays, once NumPy has been given `data_handler`; and, once hooked, the interpreter's objects. Nothing else:
//     NumPy's iterators crash where they get no memory.
// (b) Every thread's allocations count, so that helping threads can be hit as well.
// (c) The C library's own functions are reached by their second names, without dlsym, which allocates.
#include <errno.h>
#include <stdatomic.h>
#include <stddef.h>

void *__libc_malloc(size_t);
void *__libc_calloc(size_t, size_t);
void *__libc_realloc(void *, size_t);
void *__libc_memalign(size_t, size_t);
void __libc_free(void *);

static atomic_long first, last, seen, failed, live;
static const char *code, *code_end;

// Let the allocations of a module fail, whose code is between these addresses.
void watch_module(const char *start, const char *end) {
    code = start;
    code_end = end;
}

// From now on, fail the allocations with these numbers, counted from 1.
void fail_allocations(long from, long to) {
    atomic_store(&failed, 0);
    atomic_store(&seen, 0);
    atomic_store(&last, to);
    atomic_store(&first, from);
}

// End that. How many allocations have failed.
long failed_allocations(void) {
    atomic_store(&first, 0);
    return atomic_load(&failed);
}

// How many pieces of memory are in use.
long live_allocations(void) { return atomic_load(&live); }

static int fails(void) {
    const long from = atomic_load(&first);
    if (from == 0) return 0;
    const long number = atomic_fetch_add(&seen, 1) + 1;
    if (number < from || number > atomic_load(&last)) return 0;
    atomic_fetch_add(&failed, 1);
    errno = ENOMEM;
    return 1;
}

static int fails_for(const char *caller) { return code <= caller && caller < code_end && fails(); }

#define FAILS fails_for(__builtin_return_address(0))

static void *counted(void *memory) {
    if (memory != NULL) atomic_fetch_add(&live, 1);
    return memory;
}

void *malloc(size_t size) { return FAILS ? NULL : counted(__libc_malloc(size)); }

void *calloc(size_t count, size_t size) { return FAILS ? NULL : counted(__libc_calloc(count, size)); }

void *realloc(void *memory, size_t size) {
    if (FAILS) return NULL;
    void *moved = __libc_realloc(memory, size);
    return memory == NULL ? counted(moved) : moved;
}

void *memalign(size_t alignment, size_t size) { return FAILS ? NULL : counted(__libc_memalign(alignment, size)); }

void *aligned_alloc(size_t alignment, size_t size) {
    return FAILS ? NULL : counted(__libc_memalign(alignment, size));
}

int posix_memalign(void **memory, size_t alignment, size_t size) {
    void *found = FAILS ? NULL : counted(__libc_memalign(alignment, size));
    if (found == NULL) return ENOMEM;
    *memory = found;
    return 0;
}

void free(void *memory) {
    if (memory == NULL) return;
    atomic_fetch_sub(&live, 1);
    __libc_free(memory);
}

// What NumPy allocates the data of arrays by, as its header has it.
static void *data_malloc(void *context, size_t size) {
    (void)context;
    return fails() ? NULL : malloc(size);
}

static void *data_calloc(void *context, size_t count, size_t size) {
    (void)context;
    return fails() ? NULL : calloc(count, size);
}

static void *data_realloc(void *context, void *memory, size_t size) {
    (void)context;
    return fails() ? NULL : realloc(memory, size);
}

static void data_free(void *context, void *memory, size_t size) {
    (void)context;
    (void)size;
    free(memory);
}

struct {
    char name[127];
    unsigned char version;
    void *context;
    void *(*malloc)(void *, size_t);
    void *(*calloc)(void *, size_t, size_t);
    void *(*realloc)(void *, void *, size_t);
    void (*free)(void *, void *, size_t);
} data_handler = {"failing_malloc", 1, NULL, data_malloc, data_calloc, data_realloc, data_free};

// The interpreter's allocator of objects, as its header has it.
typedef struct {
    void *context;
    void *(*malloc)(void *, size_t);
    void *(*calloc)(void *, size_t, size_t);
    void *(*realloc)(void *, void *, size_t);
    void (*free)(void *, void *);
} Allocator;

enum { OBJECTS = 2 };

static Allocator objects;

static void *object_malloc(void *context, size_t size) { return fails() ? NULL : objects.malloc(context, size); }

static void *object_calloc(void *context, size_t count, size_t size) {
    return fails() ? NULL : objects.calloc(context, count, size);
}

static void *object_realloc(void *context, void *memory, size_t size) {
    return fails() ? NULL : objects.realloc(context, memory, size);
}

// Let objects fail, too, given the interpreter's functions that get and set an allocator.
void hook_objects(void (*get)(int, Allocator *), void (*set)(int, Allocator *)) {
    get(OBJECTS, &objects);
    Allocator hooked = objects;
    hooked.malloc = object_malloc;
    hooked.calloc = object_calloc;
    hooked.realloc = object_realloc;
    set(OBJECTS, &hooked);
}
