/*
 * execve(2) of one small ELF file with one field of its headers changed, for many fields and values, as a fixed program and as
 * a relocatable one.  The table of results is Linux's: when this runs natively it says where the table is wrong.
 *
 *     exec_mutations @print     writes the table anew
 */
#include "harness.h"

#include <elf.h>
#include <stddef.h>

#define RAN 42
#define BASE 0x400000ull

struct file {
	Elf64_Ehdr eh;
	Elf64_Phdr ph[3];
	char pad[0x1000 - sizeof(Elf64_Ehdr) - 3 * sizeof(Elf64_Phdr)];
	unsigned char text[0x1000];
	uint32_t data[4];
	char behind[0x1000 - 16]; /* not zeros, where the bss begins */
};
static struct file f;

/* exit(data[0] + bss[0]), and data[0] is RAN. */
static void sample(int type)
{
	static const unsigned char code[] = {
		0x8b, 0x3d, 0xfa, 0x0f, 0, 0, /* mov edi, [rip + data] */
		0x03, 0x3d, 0xf4, 0x27, 0, 0, /* add edi, [rip + data + 0x1800] */
		0xb8, 60, 0, 0, 0, 0x0f, 0x05};

	memset(&f, 0, sizeof(f));
	memcpy(f.eh.e_ident, ELFMAG "\2\1\1", 7);
	f.eh.e_type = (Elf64_Half)type;
	f.eh.e_machine = EM_X86_64;
	f.eh.e_version = 1;
	f.eh.e_entry = BASE + 0x1000;
	f.eh.e_phoff = sizeof(f.eh);
	f.eh.e_ehsize = sizeof(f.eh);
	f.eh.e_phentsize = sizeof(Elf64_Phdr);
	f.eh.e_phnum = 3;
	f.ph[0] = (Elf64_Phdr){PT_LOAD, PF_R | PF_X, 0, BASE, BASE, 0x2000, 0x2000, 0x1000};
	f.ph[1] = (Elf64_Phdr){PT_LOAD, PF_R | PF_W, 0x2000, BASE + 0x2000, BASE + 0x2000, 0x10, 0x2000, 0x1000};
	f.ph[2] = (Elf64_Phdr){PT_GNU_STACK, PF_R | PF_W, 0, 0, 0, 0, 0, 16};
	memcpy(f.text, code, sizeof(code));
	f.data[0] = RAN;
	memset(f.behind, 1, sizeof(f.behind));
}

/*
 * R: it ran; O: it ran and ended otherwise; K and B: killed by SIGSEGV and SIGBUS; N: ENOEXEC; F: ENOENT; E: EINVAL; ?: else.
 */
static char outcome(void)
{
	volatile int error = 0;
	int status, fd = open("x", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0755);
	pid_t pid;

	REQUIRE(fd >= 0 && write(fd, &f, sizeof(f)) == (ssize_t)sizeof(f));
	close(fd);
	pid = vfork();
	if (pid == 0) {
		execl("./x", "x", NULL);
		error = errno;
		_exit(1);
	}
	status = h_wait(pid);
	if (error)
		return error == ENOEXEC ? 'N' : error == ENOENT ? 'F' : error == EINVAL ? 'E' : '?';
	if (WIFSIGNALED(status))
		return WTERMSIG(status) == SIGSEGV ? 'K' : WTERMSIG(status) == SIGBUS ? 'B' : '?';
	return WEXITSTATUS(status) == RAN ? 'R' : 'O';
}

#define EHDR(field) {#field, offsetof(struct file, eh.field), sizeof(f.eh.field)}
#define PHDR(i, field) {"ph[" #i "]." #field, offsetof(struct file, ph[i].field), sizeof(f.ph[i].field)}
static const struct field {
	const char *name;
	size_t offset, size;
} fields[] = {
	EHDR(e_type), EHDR(e_machine), EHDR(e_entry), EHDR(e_phoff), EHDR(e_phentsize), EHDR(e_phnum), PHDR(0, p_type),
	PHDR(0, p_flags), PHDR(0, p_offset), PHDR(0, p_vaddr), PHDR(0, p_filesz), PHDR(0, p_memsz), PHDR(0, p_align),
	PHDR(1, p_type), PHDR(1, p_offset), PHDR(1, p_vaddr), PHDR(1, p_filesz), PHDR(1, p_memsz),
};
#define FIELDS (sizeof(fields) / sizeof(fields[0]))

/* Added to what the field is, and in its place. */
static const uint64_t steps[] = {1, -1ull, 0x10, 0x1000, -0x1000ull, 0x800};
static const uint64_t values[] = {0, 2, 3, 7, UINT32_MAX, 0x7ffffffff000, 1ull << 63, 1ull << 40, -0x1000ull, 0x1001};
#define STEPS (sizeof(steps) / sizeof(steps[0]))
#define COUNT (STEPS + sizeof(values) / sizeof(values[0]))

/* What Linux does, a letter for each step and value; "*": R or K, for address 0 is only for CAP_SYS_RAWIO to map. */
static const char *const expected[2][FIELDS] = {
	{
		"RNNNNNNRRNNNNNNN", /* e_type */
		"NNNNNNNNNNNNNNNN", /* e_machine */
		"OKKKKKKKKKKKKKKK", /* e_entry */
		"KKKKNKNKKKNNNNNK", /* e_phoff */
		"NNNNNNNNNNNNNNNN", /* e_phentsize */
		"RRRNNNNRRRNNNNNN", /* e_phnum */
		"KKKKKKKKNKKKKKKK", /* ph[0].p_type */
		"KKRRRRKKRRRKKKKR", /* ph[0].p_flags */
		"KKKKKKRKKKKBKBKK", /* ph[0].p_offset */
		"KKKKKKKKKKKKKKKK", /* ph[0].p_vaddr */
		"KRKKKKKKKKKKKKKR", /* ph[0].p_filesz */
		"RKRRKRKKKKRKKKKK", /* ph[0].p_memsz */
		"RRRRRRRRRRRRRRRR", /* ph[0].p_align */
		"KKKKKKKKFKKKKKKK", /* ph[1].p_type */
		"KKKKOKOKKKKKKKKK", /* ph[1].p_offset */
		"KKKKKKKKKKKKKKKK", /* ph[1].p_vaddr */
		"RRRKKRORRRKKKKKK", /* ph[1].p_filesz */
		"RRRRKRKKKKRKKKKR", /* ph[1].p_memsz */
	},
	{
		"NRNNNNNRRNNNNNNN", /* e_type */
		"NNNNNNNNNNNNNNNN", /* e_machine */
		"OKKKKKKKKKKKKKKK", /* e_entry */
		"KKKKNKNKKKNNNNNK", /* e_phoff */
		"NNNNNNNNNNNNNNNN", /* e_phentsize */
		"RRRNNNNRRRNNNNNN", /* e_phnum */
		"KKKKKKKKNKKKKKKK", /* ph[0].p_type */
		"KKRRRRKKRRRKKKKR", /* ph[0].p_flags */
		"KKKKKKRKKKKBKBKK", /* ph[0].p_offset */
		"KKKKKKKKKKKKKKKK", /* ph[0].p_vaddr */
		"KRKKKKKKKKKKKKKR", /* ph[0].p_filesz */
		"RKRRKRKKKKRKKKKK", /* ph[0].p_memsz */
		"RRRRRRRRRRRR*RRR", /* ph[0].p_align */
		"KKKKKKKKFKKKKKKK", /* ph[1].p_type */
		"KKKKOKOKKKKKKKKK", /* ph[1].p_offset */
		"KKKKKKKKKKKKKKKK", /* ph[1].p_vaddr */
		"RRRKKRORRRKKKKKK", /* ph[1].p_filesz */
		"RRRRKRKKKKRKKKKR", /* ph[1].p_memsz */
	},
};

static void settle(char *results, const char *wanted)
{
	for (size_t i = 0; i < COUNT; i++)
		if (wanted[i] == '*' && (results[i] == 'R' || results[i] == 'K'))
			results[i] = '*';
}

static void mutate(int type, size_t field, char results[COUNT + 1])
{
	const struct field *fl = &fields[field];

	for (size_t i = 0; i < COUNT; i++) {
		uint64_t value = 0;

		sample(type);
		memcpy(&value, (char *)&f + fl->offset, fl->size);
		value = i < STEPS ? value + steps[i] : values[i - STEPS];
		memcpy((char *)&f + fl->offset, &value, fl->size);
		results[i] = outcome();
	}
	results[COUNT] = '\0';
}

static void check(int type)
{
	char results[COUNT + 1];

	use_tmpdir();
	for (size_t i = 0; i < FIELDS; i++) {
		mutate(type, i, results);
		settle(results, expected[type - ET_EXEC][i]);
		if (!CHECK_STR(results, expected[type - ET_EXEC][i]))
			h_say("  %s\n", fields[i].name);
	}
}

TEST(fixed)
{
	check(ET_EXEC);
}

TEST(relocatable)
{
	check(ET_DYN);
}

ROLE(argc, argv)
{
	char results[COUNT + 1];

	(void)argc;
	(void)argv;
	use_tmpdir();
	for (int type = ET_EXEC; type <= ET_DYN; type++) {
		printf("\t{\n");
		for (size_t i = 0; i < FIELDS; i++) {
			mutate(type, i, results);
			printf("\t\t\"%s\", /* %s */\n", results, fields[i].name);
		}
		printf("\t},\n");
	}
	h_cleanup();
	return 0;
}
