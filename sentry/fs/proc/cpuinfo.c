/* /proc/cpuinfo, from what the CPUID instruction says: the guest runs on these CPUs and can ask them itself. */
#include <cpuid.h>
#include <string.h>

#include "base/checked.h"
#include "host/system.h"
#include "sentry/fs/proc/internal.h"

struct cpuid_words {
	unsigned eax, ebx, ecx, edx;
};

static struct cpuid_words cpuid(unsigned leaf, unsigned sub)
{
	struct cpuid_words w = {0, 0, 0, 0};

	if (!__get_cpuid_count(leaf, sub, &w.eax, &w.ebx, &w.ecx, &w.edx))
		return (struct cpuid_words){0, 0, 0, 0};
	return w;
}

enum reg { EAX, EBX, ECX, EDX };

/* Linux's names of the bits of one register, space-separated, bit 0 first; "-" for one that is not shown: protection keys and AMX
 * among them, for which programs ask (pkey_alloc(2), ARCH_REQ_XCOMP_PERM) and are told that there are none. */
static const struct flag_word {
	unsigned leaf, sub;
	enum reg reg;
	const char *names;
} flag_words[] = {
	{1, 0, EDX, "fpu vme de pse tsc msr pae mce cx8 apic - sep mtrr pge mca cmov pat pse36 pn clflush - dts acpi mmx "
		    "fxsr sse sse2 ss ht tm ia64 pbe"},
	{0x80000001, 0, EDX, "- - - - - - - - - - - syscall - - - - - - - mp nx - mmxext - - fxsr_opt pdpe1gb rdtscp - lm "
			     "3dnowext 3dnow"},
	{1, 0, ECX, "pni pclmulqdq dtes64 monitor ds_cpl vmx smx est tm2 ssse3 cid sdbg fma cx16 xtpr pdcm - pcid dca "
		    "sse4_1 sse4_2 x2apic movbe popcnt tsc_deadline_timer aes xsave - avx f16c rdrand hypervisor"},
	{0x80000001, 0, ECX, "lahf_lm cmp_legacy svm extapic cr8_legacy abm sse4a misalignsse 3dnowprefetch osvw ibs xop "
			     "skinit wdt - lwp fma4 tce - nodeid_msr - tbm topoext perfctr_core perfctr_nb - bpext ptsc "
			     "perfctr_llc mwaitx"},
	{7, 0, EBX, "fsgsbase tsc_adjust sgx bmi1 hle avx2 - smep bmi2 erms invpcid rtm cqm - mpx rdt_a avx512f avx512dq "
		    "rdseed adx smap avx512ifma - clflushopt clwb intel_pt avx512pf avx512er avx512cd sha_ni avx512bw "
		    "avx512vl"},
	{0xd, 1, EAX, "xsaveopt xsavec xgetbv1 xsaves"},
	{7, 1, EAX, "- - - - avx_vnni avx512_bf16 - cmpccxadd - - fzrm fsrs fsrc - - - - - - - - - - avx_ifma - - lam"},
	{0x80000008, 0, EBX, "clzero irperf xsaveerptr - rdpru - - - - wbnoinvd"},
	{7, 0, ECX, "- avx512vbmi umip - - waitpkg avx512_vbmi2 - gfni vaes vpclmulqdq avx512_vnni avx512_bitalg tme "
		    "avx512_vpopcntdq - la57 - - - - - rdpid - bus_lock_detect cldemote - movdiri movdir64b enqcmd"},
	{7, 0, EDX, "- - avx512_4vnniw avx512_4fmaps fsrm - - - avx512_vp2intersect - md_clear - - - serialize - tsxldtrk - "
		    "pconfig arch_lbr - - - avx512_fp16 - - - - flush_l1d arch_capabilities"},
};

static void show_flags(FILE *out)
{
	fputs("flags\t\t:", out);
	for (size_t i = 0; i < ARRAY_SIZE(flag_words); i++) {
		const struct flag_word *f = &flag_words[i];
		struct cpuid_words w = cpuid(f->leaf, f->sub);
		unsigned bits = f->reg == EAX ? w.eax : f->reg == EBX ? w.ebx : f->reg == ECX ? w.ecx : w.edx;
		const char *name = f->names;

		for (int bit = 0; *name; bit++) {
			size_t len = strcspn(name, " ");

			if ((bits >> bit & 1) && name[0] != '-')
				fprintf(out, " %.*s", (int)len, name);
			name += len;
			name += *name == ' ';
		}
	}
	fputc('\n', out);
}

/* What all CPUs have in common. */
struct cpu_model {
	char vendor[13], name[49];
	unsigned family, model, stepping, level, clflush, phys_bits, virt_bits;
};

static void get_model(struct cpu_model *m)
{
	struct cpuid_words w = cpuid(0, 0);

	memset(m, 0, sizeof(*m));
	m->level = w.eax;
	memcpy(m->vendor, &w.ebx, 4);
	memcpy(m->vendor + 4, &w.edx, 4);
	memcpy(m->vendor + 8, &w.ecx, 4);
	w = cpuid(1, 0);
	m->stepping = w.eax & 0xf;
	m->model = w.eax >> 4 & 0xf;
	m->family = w.eax >> 8 & 0xf;
	if (m->family == 0xf)
		m->family += w.eax >> 20 & 0xff;
	if (m->family >= 6)
		m->model += (w.eax >> 16 & 0xf) << 4;
	m->clflush = (w.ebx >> 8 & 0xff) * 8;
	for (unsigned i = 0; i < 3; i++) {
		w = cpuid(0x80000002 + i, 0);
		memcpy(m->name + 16 * i, &w, 16);
	}
	w = cpuid(0x80000008, 0);
	m->phys_bits = w.eax & 0xff;
	m->virt_bits = w.eax >> 8 & 0xff;
}

int proc_show_cpuinfo(const struct proc_ctx *c, FILE *out)
{
	unsigned cpus = host_cpu_count();
	struct cpu_model m;
	const char *name;

	(void)c;
	get_model(&m);
	name = m.name + strspn(m.name, " ");
	for (unsigned i = 0; i < HOST_CPUS_MAX; i++) {
		if (!host_cpu_usable(i))
			continue;
		fprintf(out, "processor\t: %u\nvendor_id\t: %s\ncpu family\t: %u\nmodel\t\t: %u\nmodel name\t: %s\n", i,
			m.vendor, m.family, m.model, name[0] ? name : "unknown");
		fprintf(out, "stepping\t: %u\ncpu MHz\t\t: Unknown\n", m.stepping);
		fprintf(out, "physical id\t: 0\nsiblings\t: %u\ncore id\t\t: %u\ncpu cores\t: %u\napicid\t\t: %u\n"
			     "initial apicid\t: %u\n", cpus, i, cpus, i, i);
		fprintf(out, "fpu\t\t: yes\nfpu_exception\t: yes\ncpuid level\t: %u\nwp\t\t: yes\n", m.level);
		show_flags(out);
		fprintf(out, "clflush size\t: %u\ncache_alignment\t: %u\naddress sizes\t: %u bits physical, %u bits virtual\n"
			     "power management:\n\n", m.clflush, m.clflush, m.phys_bits, m.virt_bits);
	}
	return 0;
}
