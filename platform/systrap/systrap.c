/* The systrap platform: its start, its end, and its operation table.  Start reading at systrap.h. */
#include "platform/systrap/systrap.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>

#include "abi/errno.h"

/* So long the end of the platform waits for that of its stubs. */
#define END_S 2

/* Children that nobody waits for vanish if SIGCHLD is ignored, which one may have inherited. */
static void keep_zombies(void)
{
	struct sigaction sa;

	if (sigaction(SIGCHLD, NULL, &sa) < 0 || (sa.sa_handler != SIG_IGN && !(sa.sa_flags & SA_NOCLDWAIT)))
		return;
	sa.sa_handler = SIG_DFL;
	sa.sa_flags = 0;
	sigaction(SIGCHLD, &sa, NULL);
}

static void systrap_stop(struct platform *pf);

/* All that holds no process. */
static void let_go(struct systrap *st)
{
	if (st->listener_fd >= 0)
		close(st->listener_fd);
	if (st->wake_fd >= 0)
		close(st->wake_fd);
	channel_pool_destroy(st);
	pthread_cond_destroy(&st->left_cond);
	mutex_destroy(&st->lock);
	free(st);
}

static int systrap_begin(struct platform **out, char *why, size_t why_size)
{
	struct systrap *st = calloc(1, sizeof(*st));
	int r;

	if (!st) {
		snprintf(why, why_size, "out of memory");
		return -ENOMEM;
	}
	mutex_init(&st->lock);
	for (unsigned i = 0; i < PID_BUCKETS; i++)
		list_init(&st->stubs[i]);
	list_init(&st->strays);
	list_init(&st->waiters);
	list_init(&st->used);
	list_init(&st->left);
	pthread_cond_init(&st->left_cond, NULL);
	list_init(&st->ring_blocks);
	st->listener_fd = st->wake_fd = -1;
	st->mmap_is_atomic = probe_mmap_is_atomic();
	keep_zombies();
	placement_start();
	pieces_table_make();
	r = channel_pool_create(st, why, why_size);
	if (r < 0) {
		pthread_cond_destroy(&st->left_cond);
		mutex_destroy(&st->lock);
		free(st);
		return r;
	}
	r = boot_begin(st, why, why_size);
	if (r < 0)
		let_go(st);
	else
		*out = &st->pf;
	return r;
}

static int systrap_finish(struct platform *pf, char *why, size_t why_size)
{
	struct systrap *st = container_of(pf, struct systrap, pf);
	uint32_t first_insn;
	int r = boot_finish(st, why, why_size);

	if (r < 0) {
		let_go(st);
		return r;
	}
	st->pf.xstate_size = st->frame.sw.xstate_size;
	r = probe_memory(st->template->as.host_pid, (void *)(uintptr_t)st->base, &first_insn, sizeof(first_insn), why,
			 why_size);
	if (r < 0)
		systrap_stop(pf);
	return r;
}

/* The reaper ends with the last stub.  False if that does not come to its end. */
static bool join_reaper(struct systrap *st)
{
	struct timespec end;

	clock_gettime(CLOCK_REALTIME, &end);
	end.tv_sec += END_S;
	if (pthread_timedjoin_np(st->reaper, NULL, &end) == 0)
		return true;
	log_warn("systrap: some stubs that were killed do not end: left to the host");
	return false;
}

static void systrap_abandon(struct platform *pf)
{
	struct systrap *st = container_of(pf, struct systrap, pf);
	struct stub *s;

	mutex_lock(&st->lock);
	for (unsigned i = 0; i < PID_BUCKETS; i++) {
		list_for_each_entry (s, &st->stubs[i], node)
			stub_kill(s, NULL);
	}
	mutex_unlock(&st->lock);
}

static void systrap_stop(struct platform *pf)
{
	struct systrap *st = container_of(pf, struct systrap, pf);

	systrap_abandon(pf);
	if (st->reaper_started) {
		if (!join_reaper(st))
			return; /* it goes on using all of this */
	} else {
		siginfo_t si;

		waitid(P_PID, (id_t)st->pgid, &si, WEXITED);
		list_del_init(&st->template->node);
	}
	stub_stop_emptier(st);
	stub_free(st->template);
	let_go(st);
}

static void systrap_features(const struct platform *pf, struct pf_features *out)
{
	const struct systrap *st = container_of(pf, struct systrap, pf);

	out->sync_wakeup = st->sync_wakeup;
	out->atomic_mmap = st->mmap_is_atomic;
	out->fsgsbase = st->fsgsbase;
}

const struct platform_ops systrap_platform = {
	.name = "systrap",
	.probe = systrap_probe,
	.begin = systrap_begin,
	.finish = systrap_finish,
	.stop = systrap_stop,
	.abandon = systrap_abandon,
	.features = systrap_features,
	.as_create = systrap_as_create,
	.as_reuse = systrap_as_reuse,
	.as_fork = systrap_as_fork,
	.as_release = systrap_as_release,
	.as_leave = systrap_as_leave,
	.as_kill = systrap_as_kill,
	.map = systrap_map,
	.defer = systrap_defer,
	.settle = systrap_settle,
	.unmap = systrap_unmap,
	.protect = systrap_protect,
	.remap = systrap_remap,
	.advise = systrap_advise,
	.mincore = systrap_mincore,
	.read = systrap_read,
	.write = systrap_write,
	.move_parts = systrap_move_parts,
	.piece_read = systrap_piece_read,
	.piece_write = systrap_piece_write,
	.piece_string = systrap_piece_string,
	.pieces_end = systrap_pieces_end,
	.set_room = systrap_set_room,
	.await_given = systrap_await_given,
	.ctx_spawn = systrap_ctx_spawn,
	.ctx_attach = systrap_ctx_attach,
	.ctx_destroy = systrap_ctx_destroy,
	.thread = systrap_thread,
	.run = systrap_run,
	.interrupt = systrap_interrupt,
	.get_regs = systrap_get_regs,
	.set_regs = systrap_set_regs,
	.set_result = systrap_set_result,
	.get_xstate = systrap_get_xstate,
	.set_xstate = systrap_set_xstate,
	.put_frame = systrap_put_frame,
	.rseq_register = systrap_rseq_register,
	.rseq_registered = systrap_rseq_registered,
	.rseq_unregister = systrap_rseq_unregister,
	.windows_new = systrap_windows_new,
	.window_map = systrap_window_map,
	.window_unmap = systrap_window_unmap,
	.show_windows = systrap_show_windows,
	.patch = systrap_patch,
	.set_answers = systrap_set_answers,
	.ring_new = systrap_ring_new,
	.ring_map = systrap_ring_map,
	.ring_give = systrap_ring_give,
	.ring_open = systrap_ring_open,
	.ring_close = systrap_ring_close,
	.ring_owed = systrap_ring_owed,
	.ring_io = systrap_ring_io,
	.ring_naps = systrap_ring_naps,
	.cmpxchg32 = systrap_cmpxchg32,
};
