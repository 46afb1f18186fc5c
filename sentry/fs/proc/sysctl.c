/* /proc/sys: what programs look up there.  Everything can be read, and nothing changed. */
#include <stdio.h>
#include <string.h>

#include "abi/capability.h"
#include "abi/resource.h"
#include "abi/socket.h"
#include "abi/types.h"
#include "abi/utsname.h"
#include "host/random.h"
#include "host/system.h"
#include "sentry/core/uts.h"
#include "sentry/fs/proc/internal.h"
#include "sentry/mm/mm.h"
#include "sentry/vfs/inotify.h"

#define UUID_LEN 36

static char boot_id[UUID_LEN + 1]; /* set before there are tasks, immutable afterwards */

/* A random UUID, version 4. */
static void make_uuid(char out[UUID_LEN + 1])
{
	uint8_t b[16];

	host_random(b, sizeof(b));
	b[6] = (uint8_t)((b[6] & 0x0f) | 0x40);
	b[8] = (uint8_t)((b[8] & 0x3f) | 0x80);
	snprintf(out, UUID_LEN + 1, "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", b[0], b[1], b[2],
		 b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13], b[14], b[15]);
}

void proc_sysctl_init(void)
{
	if (!boot_id[0])
		make_uuid(boot_id);
}

static int show_uuid(const struct proc_ctx *c, FILE *out)
{
	char uuid[UUID_LEN + 1];

	(void)c;
	make_uuid(uuid);
	fprintf(out, "%s\n", uuid);
	return 0;
}

static int show_boot_id(const struct proc_ctx *c, FILE *out)
{
	(void)c;
	fprintf(out, "%s\n", boot_id);
	return 0;
}

/* value is where in struct l_utsname the string lies. */
static int show_uts(const struct proc_ctx *c, FILE *out)
{
	struct l_utsname u;

	uts_get(&u);
	fprintf(out, "%s\n", (const char *)&u + c->node->entry->value);
	return 0;
}

static int show_threads_max(const struct proc_ctx *c, FILE *out)
{
	(void)c;
	fprintf(out, "%d\n", PID_MAX);
	return 0;
}

#define UTS(name, field) PROC_FILE(name, 0444, show_uts, .value = offsetof(struct l_utsname, field))
#define NUMBER(name, n) PROC_FILE(name, 0444, proc_show_value, .value = (n))
#define STRING(name, s) PROC_FILE(name, 0444, proc_show_string, .string = (s))
#define TABLE(dir, ...)                                                                                                \
	static const struct proc_entry dir##_entries[] = {__VA_ARGS__};                                                \
	static const struct proc_dir dir = {.entries = dir##_entries, .count = ARRAY_SIZE(dir##_entries)}

TABLE(random_dir,
      PROC_FILE("boot_id", 0444, show_boot_id),
      NUMBER("entropy_avail", 256),
      NUMBER("poolsize", 256),
      PROC_FILE("uuid", 0444, show_uuid));

TABLE(kernel_dir,
      NUMBER("cap_last_cap", L_CAP_LAST_CAP),
      STRING("core_pattern", "core"),
      UTS("domainname", domainname),
      UTS("hostname", nodename),
      NUMBER("io_uring_disabled", 2),
      NUMBER("ngroups_max", L_NGROUPS_MAX),
      UTS("osrelease", release),
      UTS("ostype", sysname),
      NUMBER("overflowgid", 65534),
      NUMBER("overflowuid", 65534),
      STRING("perf_event_paranoid", "3"),
      NUMBER("pid_max", PID_MAX),
      STRING("printk", "4\t4\t1\t7"),
      PROC_DIR("random", 0555, random_dir),
      NUMBER("randomize_va_space", 2),
      NUMBER("tainted", 0),
      PROC_FILE("threads-max", 0444, show_threads_max),
      NUMBER("unprivileged_bpf_disabled", 2),
      UTS("version", version));

TABLE(vm_dir,
      NUMBER("max_map_count", MM_MAX_MAP_COUNT),
      NUMBER("mmap_min_addr", GUEST_MIN),
      NUMBER("overcommit_memory", 0),
      NUMBER("overcommit_ratio", 50));

TABLE(inotify_dir,
      NUMBER("max_queued_events", INOTIFY_MAX_QUEUED_EVENTS),
      NUMBER("max_user_instances", INOTIFY_MAX_INSTANCES),
      NUMBER("max_user_watches", INOTIFY_MAX_WATCHES));

TABLE(fs_dir,
      NUMBER("file-max", INT64_MAX),
      PROC_DIR("inotify", 0555, inotify_dir),
      NUMBER("nr_open", 1048576),
      NUMBER("overflowgid", 65534),
      NUMBER("overflowuid", 65534),
      NUMBER("pipe-max-size", 1048576));

TABLE(core_dir, NUMBER("somaxconn", L_SOMAXCONN));
TABLE(net_dir, PROC_DIR("core", 0555, core_dir));

static const struct proc_entry sys_entries[] = {
	PROC_DIR("fs", 0555, fs_dir),
	PROC_DIR("kernel", 0555, kernel_dir),
	PROC_DIR("net", 0555, net_dir),
	PROC_DIR("vm", 0555, vm_dir),
};
const struct proc_dir proc_sys_dir = {.entries = sys_entries, .count = ARRAY_SIZE(sys_entries)};
