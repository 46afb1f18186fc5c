/* execve(2) of hand-made ELF files and scripts: which are refused and how, and which kill the process that tries. */
#include "harness.h"

#include <elf.h>
#include <stddef.h>

#define RAN 42	/* what the program in the files exits with */
#define NO_EXEC 100 /* what a child whose execve failed exits with, plus errno */

static const unsigned char program[] = {0xb8, 60, 0, 0, 0, 0xbf, RAN, 0, 0, 0, 0x0f, 0x05}; /* exit(RAN) */
#define PROGRAM_AT 0x11000

/* A static program of one segment; the other headers are unused. */
struct file {
	Elf64_Ehdr eh;
	Elf64_Phdr ph[1200];
	char rest[PROGRAM_AT - sizeof(Elf64_Ehdr) - 1200 * sizeof(Elf64_Phdr)];
	unsigned char text[0x1000];
};
static struct file f;

static void sample(int phnum)
{
	memset(&f, 0, sizeof(f));
	memcpy(f.eh.e_ident, ELFMAG "\2\1\1", 7);
	f.eh.e_type = ET_EXEC;
	f.eh.e_machine = EM_X86_64;
	f.eh.e_version = 1;
	f.eh.e_entry = 0x400000 + PROGRAM_AT;
	f.eh.e_phoff = sizeof(f.eh);
	f.eh.e_phentsize = sizeof(Elf64_Phdr);
	f.eh.e_phnum = (Elf64_Half)phnum;
	f.ph[0] = (Elf64_Phdr){.p_type = PT_LOAD, .p_flags = PF_R | PF_X, .p_vaddr = 0x400000,
			       .p_filesz = sizeof(f), .p_memsz = sizeof(f), .p_align = 0x1000};
	memcpy(f.text, program, sizeof(program));
}

/* RAN, -errno of execve, or 1000 + the signal that ended it. */
static int outcome(const void *data, size_t size)
{
	pid_t pid;
	int status;

	use_tmpdir();
	unlink("x");
	write_file("x", data, size, 0755);
	pid = h_fork();
	if (pid == 0) {
		execl("./x", "x", NULL);
		_exit(NO_EXEC + errno);
	}
	status = h_wait(pid);
	if (WIFSIGNALED(status))
		return 1000 + WTERMSIG(status);
	return WEXITSTATUS(status) >= NO_EXEC ? NO_EXEC - WEXITSTATUS(status) : WEXITSTATUS(status);
}
#define RESULT() outcome(&f, sizeof(f))
#define KILLED (1000 + SIGSEGV)
#define SCRIPT(text) outcome((text), sizeof(text) - 1)

TEST(good)
{
	sample(1);
	CHECK_EQ(RESULT(), RAN);
	sample(1170); /* 64 KiB of headers at the most */
	CHECK_EQ(RESULT(), RAN);
	sample(1);
	f.eh.e_ident[EI_CLASS] = 77; /* nobody looks */
	CHECK_EQ(RESULT(), RAN);
}

TEST(bad_headers)
{
	CHECK_EQ(outcome("", 0), -ENOEXEC);
	CHECK_EQ(outcome("\177ELF", 4), -ENOEXEC);
	sample(1);
	CHECK_EQ(outcome(&f, sizeof(f.eh)), -ENOEXEC);
	f.eh.e_type = ET_REL;
	CHECK_EQ(RESULT(), -ENOEXEC);
	sample(1171);
	CHECK_EQ(RESULT(), -ENOEXEC);
	sample(0);
	CHECK_EQ(RESULT(), -ENOEXEC);
	sample(1);
	f.eh.e_machine = EM_AARCH64;
	CHECK_EQ(RESULT(), -ENOEXEC);
	sample(1);
	f.eh.e_phentsize = 32;
	CHECK_EQ(RESULT(), -ENOEXEC);
	sample(1);
	f.eh.e_phoff = sizeof(f);
	CHECK_EQ(RESULT(), -ENOEXEC);
}

TEST(bad_interpreter)
{
	sample(2);
	f.ph[1] = (Elf64_Phdr){.p_type = PT_INTERP, .p_offset = offsetof(struct file, rest), .p_filesz = 8};
	strcpy(f.rest, "/nosuch");
	CHECK_EQ(RESULT(), -ENOENT);
	strcpy(f.rest, "/etc/..");
	CHECK_EQ(RESULT(), -EACCES);
	f.ph[1].p_filesz = 7; /* without the NUL */
	CHECK_EQ(RESULT(), -ENOEXEC);
	f.ph[1].p_filesz = 1;
	CHECK_EQ(RESULT(), -ENOEXEC);
	f.ph[1].p_filesz = 4097;
	CHECK_EQ(RESULT(), -ENOEXEC);
	f.ph[1].p_filesz = 8;
	f.ph[1].p_offset = sizeof(f);
	CHECK_EQ(RESULT(), -EIO);
	f.ph[1].p_offset = UINT64_MAX - 15;
	CHECK_EQ(RESULT(), -EINVAL);
	f.ph[1].p_offset = offsetof(struct file, rest) + 100; /* zeros */
	CHECK_EQ(RESULT(), -EACCES);

	use_tmpdir();
	write_file("ld", "#!/bin/sh\n", 10, 0755); /* too short to be looked at */
	strcpy(f.rest, "./ld");
	f.ph[1].p_offset = offsetof(struct file, rest);
	f.ph[1].p_filesz = 5;
	CHECK_EQ(RESULT(), -EIO);
	write_file("ld", f.rest, 200, 0755);
	CHECK_EQ(RESULT(), -ELIBBAD);
}

/* Found out only when the old program is gone. */
TEST(bad_segments)
{
	sample(1);
	f.ph[0].p_memsz = 0x10;
	CHECK_EQ(RESULT(), KILLED);
	sample(1);
	f.ph[0].p_offset = 0x10;
	CHECK_EQ(RESULT(), KILLED);
	sample(1);
	f.ph[0].p_vaddr = UINT64_MAX & ~0xfffull;
	CHECK_EQ(RESULT(), KILLED);
	sample(1);
	f.ph[0].p_memsz = UINT64_MAX;
	CHECK_EQ(RESULT(), KILLED);
	sample(1);
	f.ph[0].p_type = PT_NULL; /* loads nothing, and faults at its first instruction */
	CHECK_EQ(RESULT(), KILLED);
	f.eh.e_type = ET_DYN;
	CHECK_EQ(RESULT(), KILLED);
	sample(1);
	f.eh.e_entry = 0x7fffffffffffff;
	CHECK_EQ(RESULT(), KILLED);
}

/* A later segment's page takes the place of an earlier one's, with what was cleared there. */
TEST(segments_that_share_a_page)
{
	for (unsigned flags = PF_R | PF_X; flags <= (PF_R | PF_W | PF_X); flags += PF_W) {
		sample(2);
		f.ph[0].p_flags = PF_R | PF_W;
		f.ph[0].p_filesz = PROGRAM_AT + 4;
		f.ph[1] = (Elf64_Phdr){.p_type = PT_LOAD, .p_flags = flags, .p_offset = PROGRAM_AT, .p_vaddr = 0x400000 + PROGRAM_AT,
				       .p_filesz = 0x1000, .p_memsz = 0x1000, .p_align = 0x1000};
		CHECK_EQ(RESULT(), RAN);
	}
}

TEST(scripts)
{
	char line[600];

	CHECK_EQ(SCRIPT("#!/bin/sh\nexit 42\n"), RAN);
	CHECK_EQ(SCRIPT("#! \t /bin/sh   -e \t \nfalse; exit 1\n"), 1);
	CHECK_EQ(SCRIPT("#!/bin/true"), 0); /* the line ends with the file */
	CHECK_EQ(SCRIPT("#!\n"), -ENOEXEC);
	CHECK_EQ(SCRIPT("#!   \n"), -ENOEXEC);
	CHECK_EQ(SCRIPT("#!"), -EACCES);
	CHECK_EQ(SCRIPT("#!\0x\n"), -EACCES);
	CHECK_EQ(SCRIPT("#!/nosuch\n"), -ENOENT);
	CHECK_EQ(SCRIPT("#!./x\n"), -ELOOP); /* itself */
	CHECK_EQ(SCRIPT("exit 42\n"), -ENOEXEC);

	memset(line, '/', sizeof(line));
	memcpy(line, "#!", 2);
	memcpy(line + 300, "bin/sh\nexit 42\n", 15);
	CHECK_EQ(outcome(line, 315), -ENOEXEC); /* the name does not end within 256 bytes */
	memcpy(line + 200, "bin/true ", 9);
	CHECK_EQ(outcome(line, 315), 0); /* the argument may be cut off */
	memset(line + 2, ' ', sizeof(line) - 2);
	CHECK_EQ(outcome(line, sizeof(line)), -ENOEXEC);
}
