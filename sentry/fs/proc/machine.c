/*
 * What /proc says of a machine that has CPUs and memory and no other hardware: tables that programs look for, most of them
 * with nothing below their header.  Nothing here is the host's.
 */
#include "abi/time.h"
#include "base/checked.h"
#include "host/system.h"
#include "sentry/fs/proc/internal.h"
#include "sentry/task/usage.h"

typedef unsigned long long ull;

int proc_show_devices(const struct proc_ctx *c, FILE *out)
{
	(void)c;
	fputs("Character devices:\n  1 mem\n  5 /dev/tty\n  5 /dev/console\n  5 /dev/ptmx\n 10 misc\n128 ptm\n136 pts\n"
	      "\nBlock devices:\n", out);
	return 0;
}

/* The head of a table with a column for each CPU. */
static void show_cpu_columns(FILE *out, int indent)
{
	fprintf(out, "%*s", indent, "");
	for (unsigned i = 0; i < HOST_CPUS_MAX; i++)
		if (host_cpu_usable(i))
			fprintf(out, "CPU%-8u", i);
	fputc('\n', out);
}

static void show_cpu_zeros(FILE *out)
{
	for (unsigned i = host_cpu_count(); i > 0; i--)
		fprintf(out, " %10u", 0);
}

/* No interrupt is the sandbox's. */
int proc_show_interrupts(const struct proc_ctx *c, FILE *out)
{
	static const struct {
		const char *name, *text;
	} rows[] = {
		{"NMI", "Non-maskable interrupts"},
		{"LOC", "Local timer interrupts"},
		{"RES", "Rescheduling interrupts"},
		{"CAL", "Function call interrupts"},
		{"TLB", "TLB shootdowns"},
	};

	(void)c;
	show_cpu_columns(out, 11);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		fprintf(out, "%s:", rows[i].name);
		show_cpu_zeros(out);
		fprintf(out, "   %s\n", rows[i].text);
	}
	fprintf(out, "ERR: %10u\nMIS: %10u\n", 0, 0);
	return 0;
}

int proc_show_softirqs(const struct proc_ctx *c, FILE *out)
{
	static const char *const names[] = {"HI",    "TIMER",	"NET_TX", "NET_RX",  "BLOCK",
					    "IRQ_POLL", "TASKLET", "SCHED", "HRTIMER", "RCU"};

	(void)c;
	show_cpu_columns(out, 20);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		fprintf(out, "%12s:", names[i]);
		show_cpu_zeros(out);
		fputc('\n', out);
	}
	return 0;
}

/* What vmstat(8) and its like sum up.  Paging is the host's and does not show. */
int proc_show_vmstat(const struct proc_ctx *c, FILE *out)
{
	static const char *const zero[] = {
		"nr_dirty", "nr_writeback", "nr_swapcached", "pgpgin", "pgpgout", "pswpin", "pswpout", "pgfault", "pgmajfault",
		"pgscan_kswapd", "pgscan_direct", "pgsteal_kswapd", "pgsteal_direct", "oom_kill",
	};
	struct host_memory m;

	(void)c;
	host_memory(&m);
	fprintf(out, "nr_free_pages %llu\nnr_shmem %llu\nnr_file_pages %llu\n", (ull)(m.free / PAGE_SIZE),
		(ull)(m.shared / PAGE_SIZE), (ull)(m.buffers / PAGE_SIZE));
	for (size_t i = 0; i < ARRAY_SIZE(zero); i++)
		fprintf(out, "%s 0\n", zero[i]);
	return 0;
}

/* One node with one zone, all of the memory. */
int proc_show_zoneinfo(const struct proc_ctx *c, FILE *out)
{
	struct host_memory m;

	(void)c;
	host_memory(&m);
	const ull total = m.total / PAGE_SIZE, free = m.free / PAGE_SIZE, file = m.buffers / PAGE_SIZE;
	const ull min = PROC_MIN_FREE_KB * 1024 / PAGE_SIZE;
	const ull used = total - min_of(total, free + file), shmem = m.shared / PAGE_SIZE;
	const struct {
		const char *name;
		ull pages;
	} node[] = {
		{"nr_inactive_anon", 0}, {"nr_active_anon", used}, {"nr_inactive_file", file},	 {"nr_active_file", 0},
		{"nr_unevictable", 0},	 {"nr_mapped", 0},	   {"nr_file_pages", file},	 {"nr_dirty", 0},
		{"nr_writeback", 0},	 {"nr_shmem", shmem},	   {"nr_anon_pages", used - min_of(used, shmem)},
	};

	fputs("Node 0, zone   Normal\n  per-node stats\n", out);
	for (size_t i = 0; i < ARRAY_SIZE(node); i++)
		fprintf(out, "      %-12s %llu\n", node[i].name, node[i].pages);
	fprintf(out, "  pages free     %llu\n        boost    0\n        min      %llu\n        low      %llu\n        high     %llu\n"
		     "        promo    %llu\n        spanned  %llu\n        present  %llu\n        managed  %llu\n"
		     "        cma      0\n        protection: (0)\n      nr_free_pages %llu\n  pagesets\n",
		free, min, min + min / 4, min + min / 2, min + min / 4 * 3, total, total, total, free);
	for (unsigned i = 0; i < HOST_CPUS_MAX; i++)
		if (host_cpu_usable(i))
			fprintf(out, "    cpu: %u\n              count:    0\n              high:     0\n"
				     "              batch:    1\n  vm stats threshold: 0\n", i);
	fputs("  node_unreclaimable:  0\n  start_pfn:           0\n", out);
	return 0;
}

/* The caller's keys: none, of what Linux allows. */
int proc_show_key_users(const struct proc_ctx *c, FILE *out)
{
	struct task *self = task_current();

	(void)c;
	if (self)
		fprintf(out, "%5u: %5d %d/%d %d/%d %d/%d\n", self->cred->uid, 1, 0, 0, 0, self->cred->uid ? 200 : 1000000, 0,
			self->cred->uid ? 20000 : 25000000);
	return 0;
}

/* The page cache is the host's and counts as free there; the sandbox has none of its own. */
int proc_show_meminfo(const struct proc_ctx *c, FILE *out)
{
	struct host_memory m;

	(void)c;
	host_memory(&m);
	const uint64_t used = m.total - min_of(m.total, m.free + m.buffers);
	const struct {
		const char *name;
		uint64_t bytes;
	} rows[] = {
		{"MemTotal", m.total},
		{"MemFree", m.free},
		{"MemAvailable", min_of(m.free + m.buffers, m.total)},
		{"Buffers", m.buffers},
		{"Cached", m.shared},
		{"SwapCached", 0},
		{"Active", used},
		{"Inactive", m.buffers},
		{"Active(anon)", used},
		{"Inactive(anon)", 0},
		{"Active(file)", 0},
		{"Inactive(file)", m.buffers},
		{"Unevictable", 0},
		{"Mlocked", 0},
		{"SwapTotal", m.swap_total},
		{"SwapFree", m.swap_free},
		{"Dirty", 0},
		{"Writeback", 0},
		{"AnonPages", used - min_of(used, m.shared)},
		{"Mapped", 0},
		{"Shmem", m.shared},
		{"KReclaimable", 0},
		{"Slab", 0},
		{"SReclaimable", 0},
		{"SUnreclaim", 0},
		{"KernelStack", 0},
		{"PageTables", 0},
		{"NFS_Unstable", 0},
		{"Bounce", 0},
		{"WritebackTmp", 0},
		{"CommitLimit", m.total / 2 + m.swap_total},
		{"Committed_AS", used},
		{"VmallocTotal", 34359738367ull * 1024},
		{"VmallocUsed", 0},
		{"VmallocChunk", 0},
		{"Percpu", 0},
		{"AnonHugePages", 0},
		{"ShmemHugePages", 0},
		{"ShmemPmdMapped", 0},
	};
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		fprintf(out, "%s:%*llu kB\n", rows[i].name, (int)(23 - __builtin_strlen(rows[i].name)),
			(ull)rows[i].bytes / 1024);
	fprintf(out, "HugePages_Total:       0\nHugePages_Free:        0\nHugePages_Rsvd:        0\n"
		     "HugePages_Surp:        0\nHugepagesize:       2048 kB\nHugetlb:               0 kB\n");
	return 0;
}
