/*
 * A tree that somebody else changes: whoever asks sees each change at once.
 *
 *     outside                      both in one place, as any guest program
 *     outside @drive DIR SEED UID [CMD...]
 *                                  changes DIR and holds what two others answer against each other after each change: one
 *                                  runs as "outside @answer UID", natively, and the other by CMD... before that, in a sandbox that
 *                                  DIR is bound in and that has an empty DIR.out
 *     outside @answer UID          does what it reads ("stat NAME") and says what came of it, a line each
 *
 * UID 0: as whoever runs it.
 */
#include "harness.h"

#include <dirent.h>
#include <sys/syscall.h>

#ifndef RENAME_EXCHANGE
#define RENAME_EXCHANGE 2
#endif

#define LINE 2048

/* ---- who answers ---- */

static int kept = -1; /* a directory, from "keep" on */

static const char *failed(char *out)
{
	sprintf(out, "errno %d", errno);
	return out;
}

static void add_stat(char *out, const struct stat *st)
{
	snprintf(out + strlen(out), LINE - strlen(out), "%o %llu %llu %lld %u %lld.%ld", st->st_mode, (unsigned long long)st->st_ino,
		 S_ISDIR(st->st_mode) ? 0ull : (unsigned long long)st->st_nlink, S_ISDIR(st->st_mode) ? 0ll : (long long)st->st_size, st->st_uid,
		 (long long)st->st_mtim.tv_sec, st->st_mtim.tv_nsec);
}

static void answer_open(const char *name, char *out)
{
	int fd = open(name, O_RDONLY | O_NONBLOCK | O_NOCTTY);
	struct stat st;
	ssize_t n;
	char c[64];

	if (fd < 0) {
		failed(out);
		return;
	}
	OK(fstat(fd, &st));
	add_stat(out, &st);
	if (S_ISREG(st.st_mode)) {
		n = read(fd, c, sizeof(c));
		snprintf(out + strlen(out), LINE - strlen(out), " \"%.*s\"", (int)(n < 0 ? 0 : n), c);
	}
	close(fd);
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static void answer_list(const char *name, char *out)
{
	DIR *d = opendir(name);
	char *names[64];
	int n = 0;
	const struct dirent *e;

	if (!d) {
		failed(out);
		return;
	}
	while (n < 64 && (e = readdir(d)))
		names[n++] = strdup(e->d_name);
	closedir(d);
	qsort(names, (size_t)n, sizeof(names[0]), by_name);
	strcpy(out, "names");
	for (int k = 0; k < n; k++) {
		snprintf(out + strlen(out), LINE - strlen(out), " %s", names[k]);
		free(names[k]);
	}
}

static void answer_at_kept(const char *name, char *out)
{
	struct stat st;

	if (kept < 0 || (strcmp(name, ".") ? fstatat(kept, name, &st, AT_SYMLINK_NOFOLLOW) : fstat(kept, &st))) {
		failed(out);
		return;
	}
	add_stat(out, &st);
}

static void answer(char *line, char *out)
{
	char *name = strchr(line, ' '), *second;
	struct stat st;
	char link[1024];
	ssize_t n;
	int r = 0, fd;

	out[0] = '\0';
	errno = 0;
	*name++ = '\0';
	second = strchr(name, ' ');
	if (second)
		*second++ = '\0';
	if (!strcmp(line, "stat") || !strcmp(line, "lstat")) {
		r = line[0] == 'l' ? lstat(name, &st) : stat(name, &st);
		if (r == 0)
			add_stat(out, &st);
	} else if (!strcmp(line, "access")) {
		r = access(name, R_OK);
	} else if (!strcmp(line, "open")) {
		answer_open(name, out);
	} else if (!strcmp(line, "list")) {
		answer_list(name, out);
	} else if (!strcmp(line, "readlink")) {
		n = readlink(name, link, sizeof(link));
		r = n < 0 ? -1 : 0;
		if (n >= 0)
			sprintf(out, "to %.*s", (int)n, link);
	} else if (!strcmp(line, "cd")) { /* there and back */
		fd = open(".", O_PATH | O_DIRECTORY);
		r = chdir(name);
		if (r == 0) {
			OK(stat(".", &st));
			add_stat(out, &st);
			strcat(out, lstat("f", &st) ? "" : " f");
			strcat(out, lstat("../b", &st) ? "" : " b");
			OK(fchdir(fd));
		}
		close(fd);
	} else if (!strcmp(line, "keep")) {
		if (kept >= 0)
			close(kept);
		kept = open(name, O_RDONLY | O_DIRECTORY);
		r = kept < 0 ? -1 : 0;
	} else if (!strcmp(line, "kept")) {
		answer_at_kept(name, out);
	} else if (!strcmp(line, "mkdir")) {
		r = mkdir(name, 0755);
	} else if (!strcmp(line, "rmdir")) {
		r = rmdir(name);
	} else if (!strcmp(line, "unlink")) {
		r = unlink(name);
	} else if (!strcmp(line, "rename")) {
		r = rename(name, second);
	} else if (!strcmp(line, "exchange")) {
		r = (int)syscall(SYS_renameat2, AT_FDCWD, name, AT_FDCWD, second, RENAME_EXCHANGE);
	} else if (!strcmp(line, "link")) {
		r = linkat(AT_FDCWD, name, AT_FDCWD, second, 0);
	} else if (!strcmp(line, "symlink")) {
		r = symlink(name, second);
	} else if (!strcmp(line, "chmod")) {
		r = chmod(name, (mode_t)strtoul(second, NULL, 8));
	} else if (!strcmp(line, "write")) {
		fd = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0644);
		r = fd < 0 ? -1 : 0;
		if (fd >= 0) {
			CHECK_EQ(write(fd, second, strlen(second)), strlen(second));
			close(fd);
		}
	}
	if (r < 0)
		failed(out);
	else if (!out[0])
		strcpy(out, "ok");
}

static int answer_all(uid_t uid)
{
	char line[LINE], out[LINE];

	if (uid)
		REQUIRE(setgid(uid) == 0 && setuid(uid) == 0);
	umask(022);
	while (fgets(line, sizeof(line), stdin)) {
		line[strcspn(line, "\n")] = '\0';
		answer(line, out);
		puts(out);
		fflush(stdout);
	}
	return h_failures ? 1 : 0;
}

/* ---- who changes and compares ---- */

struct side {
	pid_t pid;
	FILE *to, *from;
};

static struct side sides[2]; /* natively, and the other */
static char dir[512];	     /* absolute */
static unsigned long long state;
static long asked, differed;

static void start(struct side *s, char **argv)
{
	int in[2], out[2];

	REQUIRE(pipe2(in, O_CLOEXEC) == 0 && pipe2(out, O_CLOEXEC) == 0);
	s->pid = h_fork();
	if (s->pid == 0) {
		REQUIRE(dup2(in[0], 0) == 0 && dup2(out[1], 1) == 1);
		execv(argv[0], argv);
		_exit(127);
	}
	close(in[0]);
	close(out[1]);
	s->to = fdopen(in[1], "w");
	s->from = fdopen(out[0], "r");
	REQUIRE(s->to && s->from);
}

static void say(struct side *s, const char *line)
{
	fprintf(s->to, "%s\n", line);
	fflush(s->to);
}

static const char *hear(struct side *s, char *out)
{
	REQUIRE(fgets(out, LINE, s->from));
	out[strcspn(out, "\n")] = '\0';
	return out;
}

static void stop(struct side *s)
{
	fclose(s->to);
	fclose(s->from);
	JOIN(s->pid);
}

static char history[8][LINE]; /* the latest changes */
static unsigned changes;

static void note(const char *who, const char *line, const char *what)
{
	snprintf(history[changes++ % 8], LINE, "%s: %.900s: %.900s", who, line, what);
}

/* Both are asked and must say the same. */
static void compare(const char *op, const char *name)
{
	char line[LINE], native[LINE], other[LINE];

	snprintf(line, sizeof(line), "%s %s", op, name);
	for (int k = 0; k < 2; k++)
		say(&sides[k], line);
	hear(&sides[0], native);
	hear(&sides[1], other);
	asked++;
	if (strcmp(native, other) == 0)
		return;
	if (differed++ >= 10)
		return;
	H_FAIL("%s %s: %s, natively %s\n", op, name, other, native);
	for (unsigned k = changes > 8 ? changes - 8 : 0; k < changes; k++)
		h_say("    after %s\n", history[k % 8]);
}

/* A change by somebody who is neither. */
__attribute__((format(printf, 1, 2))) static void outside(const char *fmt, ...)
{
	char line[LINE], out[LINE], done[LINE];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	strcpy(done, line);
	answer(line, out);
	note("outside", done, out);
}

/* A change by the other side. */
__attribute__((format(printf, 1, 2))) static void inside(const char *fmt, ...)
{
	char line[LINE], out[LINE];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	say(&sides[1], line);
	note("inside", line, hear(&sides[1], out));
}

static const char *const ops[] = {"stat", "lstat", "access", "open", "list", "readlink", "cd"};
#define OPS (sizeof(ops) / sizeof(ops[0]))

static void compare_all(void)
{
	static const char *const names[] = {
		"a",	    "a/b",	 "a/b/c",     "a/b/c/f",  "a/b/g",  "a/b/c/f/",	  "a/b/../b/c/f", "a/./b//c/f", "a/b/c/none",
		"a/b/none/f", "e/b/c/f", "l/c/f", "a/l",   "a/l/c/f", "n/b/c/f", "a/b/c/.",  "a/b/c/..",  "a/b/c/s",
	};
	char name[LINE];

	for (size_t k = 0; k < sizeof(names) / sizeof(names[0]); k++)
		for (size_t op = 0; op < OPS; op++)
			compare(ops[op], names[k]);
	for (size_t op = 0; op < OPS; op++) {
		snprintf(name, sizeof(name), "%s/a/b/c/f", dir);
		compare(ops[op], name);
	}
	compare("kept", ".");
	compare("kept", "f");
	compare("kept", "none");
}

static void make_tree(void)
{
	outside("mkdir a");
	outside("mkdir a/b");
	outside("mkdir a/b/c");
	outside("write a/b/c/f one");
	outside("write a/b/g two");
	outside("mkdir e");
	outside("mkdir e/b");
	outside("mkdir e/b/c");
	outside("write e/b/c/f three");
	outside("symlink b a/l");
	outside("symlink a/b l");
	outside("symlink f a/b/c/s");
}

static void kinds_of_change(void)
{
	make_tree();
	compare_all();
	compare("keep", "a/b/c");
	compare_all();

	/* Files: others of the same name, and of other kinds. */
	outside("write n four");
	outside("rename n a/b/c/f");
	compare_all();
	outside("unlink a/b/c/f");
	compare_all();
	outside("write a/b/c/f five");
	compare_all();
	outside("unlink a/b/c/f");
	outside("mkdir a/b/c/f");
	compare_all();
	outside("rmdir a/b/c/f");
	outside("symlink ../g a/b/c/f");
	compare_all();
	outside("unlink a/b/c/f");
	outside("write a/b/c/f six");
	compare_all();

	/* Directories on the way: another, none, a link to where it went, a file. */
	outside("exchange a e");
	compare_all();
	outside("exchange a e");
	compare_all();
	outside("rename a/b n");
	compare_all();
	outside("symlink ../n a/b");
	compare_all();
	outside("unlink a/b");
	outside("symlink %s/n a/b", dir);
	compare_all();
	outside("unlink a/b");
	outside("write a/b file");
	compare_all();
	outside("unlink a/b");
	outside("rename n a/b");
	compare_all();

	/* The same file in another directory that took the place of the first; and the same directory in another. */
	outside("unlink e/b/c/f");
	outside("link a/b/c/f e/b/c/f");
	compare_all();
	outside("exchange a/b e/b");
	compare_all();
	outside("unlink e/b/c/f");
	compare_all();
	outside("mkdir n");
	outside("rename a/b n/b");
	outside("exchange a n");
	compare_all();
	outside("write a/g seven");
	compare_all();
	compare("list", "a/b/..");
	compare("stat", "a/b/../g");
	inside("write a/b/c/new eight");
	compare("open", "a/b/c/new");
	compare("list", "a/b/c");
	inside("rename a/b/c/new a/b/new");
	compare("open", "a/b/c/new");
	compare("open", "a/b/new");
	inside("unlink a/b/new");
	compare_all();
}

/* Modes of directories and files on the way, for those whom they keep out. */
static void modes(uid_t uid)
{
	static const char *const names[] = {"a", "a/b", "a/b/c", "a/b/c/f"};

	/* As root the sentry has no capability, which natively root has. */
	if (uid == 0 && getuid() == 0)
		return;
	for (size_t k = 0; k < sizeof(names) / sizeof(names[0]); k++) {
		outside("chmod %s %s", names[k], getuid() ? "0" : "700");
		compare_all();
		outside("chmod %s %s", names[k], k == 3 ? "644" : "755");
		compare_all();
	}
	outside("chmod a/b 711");
	compare_all();
	outside("chmod a/b 755");
	compare_all();
}

/* A link that leads out of what is seen inside, to the same file: it is not there. */
static void links_out(bool sandboxed)
{
	char out[LINE], there[LINE];

	if (!sandboxed)
		return;
	snprintf(there, sizeof(there), "%s.out/b", dir);
	REQUIRE(mkdir(there, 0755) == 0);
	snprintf(there, sizeof(there), "%s.out/b/c", dir);
	REQUIRE(mkdir(there, 0755) == 0);
	outside("link a/b/c/f %s.out/b/c/f", dir);
	outside("symlink %s.out/b a/out", dir);
	for (int k = 0; k < 200; k++) {
		say(&sides[1], "stat a/b/c/f");
		if (strncmp(hear(&sides[1], out), "100644 ", 7) != 0)
			H_FAIL("the file is not there: %s\n", out);
		outside("exchange a/b a/out");
		say(&sides[1], k % 2 ? "stat a/b/c/f" : "open a/b/c/f");
		if (strcmp(hear(&sides[1], out), "errno 2") != 0)
			H_FAIL("by a link that leads out: %s\n", out);
		outside("exchange a/b a/out");
	}
}

/* The same while it is swapped all the time: never more than the file itself, or nothing. */
static void race_out(bool sandboxed)
{
	static const char *const asks[] = {"stat a/b/c/f", "open a/b/c/f", "access a/b/c/f", "list a/b/c", "open a/b/c/secret"};
	char out[LINE], expect[LINE], secret[LINE];
	unsigned seen[2] = {0, 0};
	struct stat st;
	pid_t pid;

	if (!sandboxed)
		return;
	outside("unlink %s.out/b/c/f", dir);
	outside("write %s.out/b/c/f secret", dir);
	outside("write %s.out/b/c/secret secret", dir);
	REQUIRE(stat("a/b/c/f", &st) == 0);
	snprintf(expect, sizeof(expect), "100644 %llu ", (unsigned long long)st.st_ino);
	snprintf(secret, sizeof(secret), "%s.out/b/c/f", dir);
	REQUIRE(stat(secret, &st) == 0);
	pid = h_fork();
	if (pid == 0) {
		for (;;)
			if (syscall(SYS_renameat2, AT_FDCWD, "a/b", AT_FDCWD, "a/out", RENAME_EXCHANGE))
				_exit(1);
	}
	for (int k = 0; k < 6000; k++) {
		const char *ask = asks[k % 5];

		say(&sides[1], ask);
		hear(&sides[1], out);
		if (strcmp(out, "errno 2") == 0) {
			seen[0]++;
			continue;
		}
		seen[1]++;
		if (strstr(out, "secret") || (k % 5 < 2 && strncmp(out, expect, strlen(expect)) != 0) || k % 5 == 4)
			H_FAIL("%s: %s\n", ask, out);
	}
	kill(pid, SIGKILL);
	h_wait(pid);
	h_say("  seen %u times, not there %u times\n", seen[1], seen[0]);
	CHECK(seen[0] > 0 && seen[1] > 0);
	if (lstat("a/b", &st) == 0 && S_ISLNK(st.st_mode))
		outside("exchange a/b a/out");
}

/* ---- at random ---- */

static unsigned pick(unsigned n)
{
	state = state * 6364136223846793005ull + 1442695040888963407ull;
	return (unsigned)(state >> 33) % n;
}

static const char *random_name(char buf[64])
{
	static const char *const parts[] = {"a", "b", "c", "f"};

	buf[0] = '\0';
	for (unsigned n = 1 + pick(4); n > 0; n--) {
		strcat(buf, parts[pick(4)]);
		if (n > 1)
			strcat(buf, pick(20) ? "/" : "/../");
	}
	return buf;
}

static void random_change(bool may_chmod)
{
	char one[64], two[64], line[LINE];
	static const char *const modes_of_all[] = {"755", "644", "0", "711"};

	random_name(one);
	random_name(two);
	switch (pick(may_chmod ? 11 : 10)) {
	case 0:
	case 1:
	case 2:
		snprintf(line, sizeof(line), "mkdir %s", one);
		break;
	case 3:
	case 4:
		snprintf(line, sizeof(line), "write %s %u", one, pick(100000));
		break;
	case 5:
		snprintf(line, sizeof(line), "%s %s", pick(2) ? "unlink" : "rmdir", one);
		break;
	case 6:
		snprintf(line, sizeof(line), "rename %s %s", one, two);
		break;
	case 7:
		snprintf(line, sizeof(line), "exchange %s %s", one, two);
		break;
	case 8:
		snprintf(line, sizeof(line), "link %s %s", one, two);
		break;
	case 9:
		if (pick(2))
			snprintf(line, sizeof(line), "symlink %s %s", one, two);
		else
			snprintf(line, sizeof(line), "symlink %s/%s %s", dir, one, two);
		break;
	default:
		snprintf(line, sizeof(line), "chmod %s %s", one, modes_of_all[pick(4)]);
		break;
	}
	if (pick(4))
		outside("%s", line);
	else
		inside("%s", line);
}

static void at_random(int steps, bool may_chmod)
{
	char name[64];

	for (int k = 0; k < steps && differed < 10; k++) {
		random_change(may_chmod);
		for (int n = 0; n < 8; n++)
			compare(ops[pick(OPS)], random_name(name));
		if (pick(8) == 0)
			compare("keep", random_name(name));
		for (int n = 0; n < 2; n++)
			compare("kept", pick(3) ? random_name(name) : ".");
	}
}

static void drive(const char *where, const char *seed, uid_t uid, char **native, char **other, bool sandboxed)
{
	REQUIRE(chdir(where) == 0 && getcwd(dir, sizeof(dir)));
	umask(022);
	state = strtoull(seed, NULL, 0);
	start(&sides[0], native);
	start(&sides[1], other);
	kinds_of_change();
	modes(uid);
	links_out(sandboxed);
	race_out(sandboxed);
	at_random(1500, getuid() != 0);
	for (int k = 0; k < 2; k++)
		stop(&sides[k]);
	h_say("  asked %ld times, %ld answers differ\n", asked, differed);
}

ROLE(argc, argv)
{
	char *native[] = {NULL, (char *)"@answer", NULL, NULL}, *other[64];
	int n = 0;

	if (argc == 3 && !strcmp(argv[1], "@answer"))
		return answer_all((uid_t)atoi(argv[2]));
	REQUIRE(argc > 5 && argc < 60 && !strcmp(argv[1], "@drive"));
	native[0] = argv[0];
	native[2] = argv[4];
	for (int k = 5; k < argc; k++)
		other[n++] = argv[k];
	for (int k = 0; native[k]; k++)
		other[n++] = native[k];
	other[n] = NULL;
	drive(argv[2], argv[3], (uid_t)atoi(argv[4]), native, other, true);
	return h_failures ? 1 : 0;
}

TEST(seen_at_once)
{
	char *answerer[] = {(char *)h_self, (char *)"@answer", (char *)"0", NULL};

	use_tmpdir();
	drive(".", "1", 0, answerer, answerer, false);
}
