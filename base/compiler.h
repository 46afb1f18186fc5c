/*
 * Compiler attributes and clang's thread-safety annotations.
 *
 * gcc ignores the annotations; the clang build checks them with -Wthread-safety.  clang 14 refuses
 * guarded_by(member) inside a C struct, so a field names its lock in words beside GUARDED_VAR.
 */
#ifndef BAILEY_BASE_COMPILER_H
#define BAILEY_BASE_COMPILER_H

#define MUST_CHECK __attribute__((warn_unused_result))
#define NOINLINE __attribute__((noinline))
#define PRINTF_LIKE(fmt_index, first_arg) __attribute__((format(printf, fmt_index, first_arg)))
#define NORETURN __attribute__((noreturn))
#define PACKED __attribute__((packed))
#define ALIGNED(n) __attribute__((aligned(n)))
#define LIKELY(x) __builtin_expect(!!(x), 1)
#define UNLIKELY(x) __builtin_expect(!!(x), 0)
#define FALLTHROUGH __attribute__((fallthrough))
#define MAYBE_UNUSED __attribute__((unused))
/* A large variable on a busy path that is written before it is read: the build would zero it, as it does all others. */
#if defined(__has_attribute)
#if __has_attribute(uninitialized)
#define NOT_ZEROED __attribute__((uninitialized))
#endif
#endif
#ifndef NOT_ZEROED
#define NOT_ZEROED
#endif

#if defined(__clang__)
#define LOCK_TYPE __attribute__((capability("mutex")))
#define ACQUIRES(...) __attribute__((acquire_capability(__VA_ARGS__)))
#define RELEASES(...) __attribute__((release_capability(__VA_ARGS__)))
#define TRY_ACQUIRES(...) __attribute__((try_acquire_capability(__VA_ARGS__)))
#define REQUIRES(...) __attribute__((requires_capability(__VA_ARGS__)))
#define EXCLUDES(...) __attribute__((locks_excluded(__VA_ARGS__)))
#define NO_LOCK_ANALYSIS __attribute__((no_thread_safety_analysis))
#else
#define LOCK_TYPE
#define ACQUIRES(...)
#define RELEASES(...)
#define TRY_ACQUIRES(...)
#define REQUIRES(...)
#define EXCLUDES(...)
#define NO_LOCK_ANALYSIS
#endif

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define container_of(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))

#endif
