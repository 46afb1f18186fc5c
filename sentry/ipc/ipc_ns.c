/* See ipc_ns.h. */
#include "sentry/ipc/ipc_ns.h"

#include <stdlib.h>

#include "abi/errno.h"
#include "sentry/task/task.h"

#define NEXT_ID                                                                                                        \
	{                                                                                                              \
		-1, -1, INT32_MAX, NULL                                                                                \
	}

/* What a fresh one looks like, its head apart. */
#define FRESH(ns_)                                                                                                     \
	.sem = IPC_IDS_INIT(&(ns_)->semmni, &(ns_)->sem_next_id),                                                      \
	.msg = IPC_IDS_INIT(&(ns_)->msgmni, &(ns_)->msg_next_id),                                                      \
	.shm = IPC_IDS_INIT(&(ns_)->shmmni, &(ns_)->shm_next_id), .sem_next_id = NEXT_ID, .msg_next_id = NEXT_ID,      \
	.shm_next_id = NEXT_ID, .semmni = {32000, 0, L_IPCMNI, NULL}, .shmmni = {4096, 0, L_IPCMNI, NULL},             \
	.msgmni = {32000, 0, L_IPCMNI, NULL}, .msgmax = {8192, 0, 1 << 20, NULL},                                      \
	.msgmnb = {16384, 0, 16 << 20, NULL}, .semmsl = {SEMMSL, 0, INT32_MAX, NULL},                                    \
	.semmns = {SEMMNS, 0, INT32_MAX, NULL}, .semopm = {SEMOPM, 0, SEMOPM_MAX, NULL}, .shmmax = SHMMAX,               \
	.shmall = SHMALL, .mqueue_lock = MUTEX_INIT

static struct ipc_ns first = {.ns = {.refs = {1}, .kind = NS_IPC, .ino = 4026531839, .owner = &user_ns_first},
			      FRESH(&first)};

struct ns *ipc_ns_first(void)
{
	return &first.ns;
}

struct ipc_ns *ipc_ns_of(struct ns *ns)
{
	return container_of(ns, struct ipc_ns, ns);
}

struct ipc_ns *task_ipc_ns(const struct task *t)
{
	return t && t->ns[NS_IPC] ? ipc_ns_of(t->ns[NS_IPC]) : &first;
}

static void ids_destroy(struct ipc_ids *ids)
{
	free(ids->slots);
	mutex_destroy(&ids->lock);
}

static void ipc_ns_free(struct ns *ns)
{
	struct ipc_ns *i = ipc_ns_of(ns);

	sem_ns_free(i);
	msg_ns_free(i);
	shm_ns_free(i);
	ids_destroy(&i->sem);
	ids_destroy(&i->msg);
	ids_destroy(&i->shm);
	if (i->mqueue_root.mnt)
		path_put(&i->mqueue_root);
	mutex_destroy(&i->mqueue_lock);
	free(i);
}

int ipc_ns_new(const struct cred *c, struct user_ns *owner, struct ns **out)
{
	struct ipc_ns *i = malloc(sizeof(*i));
	int r;

	if (i)
		*i = (struct ipc_ns){FRESH(i), .uid = c->fsuid, .gid = c->fsgid};
	r = ns_init(i, NS_IPC, owner, ipc_ns_free);
	if (r < 0)
		return r;
	mutex_init(&i->sem.lock);
	mutex_init(&i->msg.lock);
	mutex_init(&i->shm.lock);
	mutex_init(&i->mqueue_lock);
	*out = &i->ns;
	return 0;
}
