/* System V shared memory: shmget(2), shmop(2), shmctl(2). */
#include "harness.h"

#include <inttypes.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/shm.h>

#define SIZE 10000
#define OTHER_UID 12345

static int make(void)
{
	int id = shmget(IPC_PRIVATE, SIZE, 0600);

	REQUIRE(id >= 0);
	return id;
}

static struct shmid_ds stat_of(int id)
{
	struct shmid_ds ds = {0};

	OK(shmctl(id, IPC_STAT, &ds));
	return ds;
}

/* A key that nobody has; the id of a segment under it. */
static int make_keyed(key_t *key, int mode)
{
	int id;

	for (*key = 0x62610000 + (getpid() & 0xfff);; ++*key) {
		id = shmget(*key, SIZE, IPC_CREAT | IPC_EXCL | mode);
		if (id >= 0 || errno != EEXIST)
			break;
	}
	REQUIRE(id >= 0);
	return id;
}

TEST(keys)
{
	key_t key;
	int id = make_keyed(&key, 0600);

	CHECK_ERR(shmget(key, SIZE, IPC_CREAT | IPC_EXCL | 0600), EEXIST);
	CHECK_EQ(shmget(key, SIZE, IPC_CREAT | 0600), id);
	CHECK_EQ(shmget(key, 0, 0), id);
	CHECK_EQ(shmget(key, 1, 0), id);
	CHECK_ERR(shmget(key, SIZE + 1, 0), EINVAL);
	OK(shmctl(id, IPC_RMID, NULL));
	CHECK_ERR(shmget(key, SIZE, 0), ENOENT);
	CHECK_ERR(shmctl(id, IPC_RMID, NULL), EINVAL);
	CHECK_ERR(shmget(IPC_PRIVATE, 0, 0600), EINVAL);
	CHECK_ERR(shmget(IPC_PRIVATE, SIZE_MAX, 0600), EINVAL);
}

TEST(shares_over_fork)
{
	int id = make();
	volatile char *p = shmat(id, NULL, 0);
	pid_t pid;

	REQUIRE(p != (void *)-1);
	CHECK_EQ(p[SIZE - 1], 0);
	CHECK_EQ(stat_of(id).shm_nattch, 1);
	CHECK(stat_of(id).shm_atime != 0);
	CHECK_EQ(stat_of(id).shm_dtime, 0);
	pid = h_fork();
	if (pid == 0) {
		CHECK_EQ(stat_of(id).shm_nattch, 2);
		p[1] = 42;
		child_exit();
	}
	JOIN(pid);
	CHECK_EQ(p[1], 42);
	CHECK_EQ(stat_of(id).shm_nattch, 1);
	CHECK_EQ(stat_of(id).shm_lpid, pid);
	CHECK(stat_of(id).shm_dtime != 0);
	CHECK_EQ(stat_of(id).shm_cpid, getpid());
	OK(shmdt((void *)p));
	CHECK_EQ(stat_of(id).shm_nattch, 0);
	CHECK_ERR(shmdt((void *)p), EINVAL);
	CHECK_ERR(shmdt((char *)p + 1), EINVAL);
	OK(shmctl(id, IPC_RMID, NULL));
}

TEST(two_views)
{
	int id = make();
	volatile int *a = shmat(id, NULL, 0);
	const volatile int *b = shmat(id, NULL, SHM_RDONLY);

	REQUIRE(a != (void *)-1 && b != (void *)-1);
	CHECK(a != b);
	*a = 7;
	CHECK_EQ(*b, 7);
	CHECK_EQ(stat_of(id).shm_nattch, 2);
	CHECK_ERR(mprotect((void *)b, 4096, PROT_READ | PROT_WRITE), EACCES);
	OK(shmdt((void *)a));
	OK(shmdt((void *)b));
	OK(shmctl(id, IPC_RMID, NULL));
}

TEST(where)
{
	int id = make();
	char *room = mmap(NULL, 8 * 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *p;

	REQUIRE(room != MAP_FAILED);
	CHECK_ERR((long)shmat(id, room, 0), EINVAL);
	CHECK_ERR((long)shmat(id, room + 1, 0), EINVAL);
	CHECK_ERR((long)shmat(id, NULL, SHM_REMAP), EINVAL);
	p = shmat(id, room + 5, SHM_RND | SHM_REMAP);
	CHECK(p == room);
	strcpy(p, "here");
	OK(munmap(p + 4096, 4096)); /* a hole: two parts, which shmdt takes together */
	CHECK_EQ(stat_of(id).shm_nattch, 2);
	OK(shmdt(p));
	CHECK_EQ(stat_of(id).shm_nattch, 0);
	p = shmat(id, room, 0);
	CHECK(p == room);
	CHECK_STR(p, "here");
	OK(shmdt(p));
	munmap(room, 8 * 4096);
	OK(shmctl(id, IPC_RMID, NULL));
}

TEST(removed_while_attached)
{
	key_t key;
	int id = make_keyed(&key, 0600);
	char *p = shmat(id, NULL, 0), *again;

	REQUIRE(p != (void *)-1);
	OK(shmctl(id, IPC_RMID, NULL));
	CHECK(stat_of(id).shm_perm.mode & SHM_DEST);
	CHECK_EQ(stat_of(id).shm_perm.__key, IPC_PRIVATE);
	CHECK_ERR(shmget(key, 0, 0), ENOENT);
	again = shmat(id, NULL, 0);
	CHECK(again != (void *)-1);
	OK(shmdt(again));
	p[0] = 1;
	OK(shmdt(p));
	CHECK_ERR(shmctl(id, IPC_STAT, &(struct shmid_ds){0}), EINVAL);
	CHECK_ERR((long)shmat(id, NULL, 0), EINVAL);
}

TEST(maps_name)
{
	char want[32], line[512];
	bool found = false;
	key_t key;
	int id = make_keyed(&key, 0600);
	char *p = shmat(id, NULL, 0);
	FILE *f = fopen("/proc/self/maps", "r");

	REQUIRE(f && p != (void *)-1);
	snprintf(want, sizeof(want), "/SYSV%08x (deleted)", (unsigned)key);
	while (fgets(line, sizeof(line), f))
		found |= strstr(line, want) != NULL && strstr(line, "rw-s");
	CHECK(found);
	fclose(f);
	OK(shmdt(p));
	OK(shmctl(id, IPC_RMID, NULL));
}

TEST(permissions)
{
	key_t key;
	int id = make_keyed(&key, 0640);
	pid_t pid;

	if (getuid() != 0)
		SKIP("needs root");
	pid = h_fork();
	if (pid == 0) {
		REQUIRE(setgid(OTHER_UID) == 0 && setuid(OTHER_UID) == 0);
		CHECK_ERR(shmget(key, 0, 0600), EACCES);
		CHECK_EQ(shmget(key, 0, 0), id);
		CHECK_ERR((long)shmat(id, NULL, 0), EACCES);
		CHECK_ERR((long)shmat(id, NULL, SHM_RDONLY), EACCES);
		CHECK_ERR(shmctl(id, IPC_STAT, &(struct shmid_ds){0}), EACCES);
		CHECK_ERR(shmctl(id, IPC_RMID, NULL), EPERM);
		CHECK_ERR(shmctl(id, IPC_SET, &(struct shmid_ds){0}), EPERM);
		child_exit();
	}
	JOIN(pid);
	OK(shmctl(id, IPC_RMID, NULL));
}

TEST(set_and_lists)
{
	int id = make(), max, seen = 0;
	struct shmid_ds ds = stat_of(id);
	struct shminfo info;
	struct shm_info used;

	CHECK_EQ(ds.shm_segsz, SIZE);
	CHECK_EQ(ds.shm_perm.mode, 0600);
	CHECK_EQ(ds.shm_atime, 0);
	ds.shm_perm.mode = 07644;
	OK(shmctl(id, IPC_SET, &ds));
	CHECK_EQ(stat_of(id).shm_perm.mode, 0644);
	ds.shm_perm.uid = (uid_t)-1;
	CHECK_ERR(shmctl(id, IPC_SET, &ds), EINVAL);
	CHECK(shmctl(0, IPC_INFO, (void *)&info) >= 0);
	CHECK_EQ(info.shmmin, 1);
	max = shmctl(0, SHM_INFO, (void *)&used);
	CHECK(max >= 0 && used.used_ids >= 1 && used.shm_tot >= 3);
	for (int i = 0; i <= max; i++)
		seen += shmctl(i, SHM_STAT, &ds) == id && ds.shm_segsz == SIZE;
	CHECK_EQ(seen, 1);
	CHECK_ERR(shmctl(id, 99, NULL), EINVAL);
	CHECK_ERR(shmctl(-1, IPC_STAT, &ds), EINVAL);
	CHECK_ERR(shmctl(id, IPC_STAT, (void *)8), EFAULT);
	OK(shmctl(id, SHM_LOCK, NULL));
	CHECK(stat_of(id).shm_perm.mode & SHM_LOCKED);
	OK(shmctl(id, SHM_UNLOCK, NULL));
	OK(shmctl(id, IPC_RMID, NULL));
}

TEST(proc_file)
{
	static char text[65536];
	char want[64];
	int id = make();

	snprintf(want, sizeof(want), "%10d %10d  %4o %21u", 0, id, 0600, SIZE);
	CHECK(read_file("/proc/sysvipc/shm", text, sizeof(text)) > 0);
	CHECK(strncmp(text, "       key      shmid perms                  size", 49) == 0);
	CHECK(strstr(text, want));
	OK(shmctl(id, IPC_RMID, NULL));
}

/* remap_file_pages(2) takes the old mapping away first, and with the last one goes a segment that is to be removed. */
TEST(remapped)
{
	int id = make();
	char *p = shmat(id, NULL, 0);
	unsigned char there;

	REQUIRE(p != (void *)-1);
	p[0] = 'x';
	OK(remap_file_pages(p, 4096, 0, 0, 0));
	CHECK_EQ(p[0], 'x');
	OK(shmctl(id, IPC_RMID, NULL));
	OK(remap_file_pages(p, 4096, 0, 0, 0)); /* the other pages are attached still */
	CHECK_EQ(p[0], 'x');
	CHECK_ERR(remap_file_pages(p, 3 * 4096, 0, 0, 0), EINVAL);
	CHECK_ERR(mincore(p, 4096, &there), ENOMEM);
	CHECK_ERR(shmctl(id, IPC_STAT, &(struct shmid_ds){0}), EINVAL);
}
