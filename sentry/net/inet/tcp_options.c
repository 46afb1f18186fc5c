/* Options of level IPPROTO_TCP: tcp(7).  On a loopback without packets most are kept and told, and have nothing to change. */
#include <string.h>

#include "abi/errno.h"
#include "base/checked.h"
#include "sentry/net/inet/tcp.h"

#define KEEP_TIME_MAX 32767
#define KEEP_COUNT_MAX 127
#define FIN_TIME_MAX 120 /* seconds */
#define SEGMENT 32768	 /* what Linux tells of a loopback connection before anything is known */
#define SEGMENT_DEFAULT 536
#define SEGMENT_MIN 88
#define SEGMENT_MAX 32767
#define NAME_MAX_LEN 16u /* TCP_CA_NAME_MAX */

static const char *const algorithms[] = {"cubic", "reno"};

/* An option that is a number and no more: its place, and bounds. */
static _Atomic int32_t *number_of(struct tcp_sock *s, int name, int32_t *min, int32_t *max)
{
	*min = 0;
	*max = INT32_MAX;
	switch (name) {
	case L_TCP_NODELAY:
		return &s->nodelay;
	case L_TCP_CORK:
		return &s->cork;
	case L_TCP_KEEPIDLE:
		*min = 1;
		*max = KEEP_TIME_MAX;
		return &s->keep_idle;
	case L_TCP_KEEPINTVL:
		*min = 1;
		*max = KEEP_TIME_MAX;
		return &s->keep_interval;
	case L_TCP_KEEPCNT:
		*min = 1;
		*max = KEEP_COUNT_MAX;
		return &s->keep_count;
	case L_TCP_SYNCNT:
		*min = 1;
		*max = KEEP_COUNT_MAX;
		return &s->syn_count;
	case L_TCP_LINGER2:
		*min = INT32_MIN;
		return &s->linger2;
	case L_TCP_DEFER_ACCEPT:
		return &s->defer_accept;
	case L_TCP_WINDOW_CLAMP:
		return &s->window_clamp;
	case L_TCP_QUICKACK:
		return &s->quickack;
	case L_TCP_USER_TIMEOUT:
		return &s->user_timeout;
	case L_TCP_NOTSENT_LOWAT:
		*min = INT32_MIN;
		return &s->notsent_low;
	}
	return NULL;
}

static bool is_switch(int name)
{
	return name == L_TCP_NODELAY || name == L_TCP_CORK || name == L_TCP_QUICKACK;
}

/* Of an end whose every packet has arrived at once. */
static int give_info(struct tcp_sock *s, void *value, uint32_t *len)
{
	struct l_tcp_info i = {0};

	mutex_lock(&inet_lock);
	i.tcpi_state = (uint8_t)s->state;
	i.tcpi_unacked = s->state == TCP_LISTEN ? s->embryo_count : 0;
	i.tcpi_sacked = s->state == TCP_LISTEN ? (uint32_t)s->backlog : 0;
	mutex_unlock(&inet_lock);
	i.tcpi_options = 7; /* time stamps, SACK, window scaling */
	i.tcpi_rto = 200000;
	i.tcpi_ato = 40000;
	i.tcpi_snd_mss = i.tcpi_rcv_mss = SEGMENT;
	i.tcpi_advmss = 65483;
	i.tcpi_pmtu = 65535;
	i.tcpi_rtt = 20;
	i.tcpi_rttvar = 10;
	i.tcpi_snd_ssthresh = INT32_MAX;
	i.tcpi_snd_cwnd = 10;
	i.tcpi_reordering = 3;
	i.tcpi_rcv_space = 65483;
	return inet_give(value, len, &i, sizeof(i));
}

static int32_t segment(struct tcp_sock *s)
{
	int32_t v = SEGMENT;

	mutex_lock(&inet_lock);
	if (s->state == TCP_CLOSE || s->state == TCP_LISTEN)
		v = s->max_segment ? s->max_segment : SEGMENT_DEFAULT;
	mutex_unlock(&inet_lock);
	return v;
}

static int give_name(struct tcp_sock *s, void *value, uint32_t *len)
{
	char name[NAME_MAX_LEN] = {0};

	strncpy(name, algorithms[s->congestion], sizeof(name) - 1);
	return inet_give(value, len, name, sizeof(name));
}

int tcp_get_option(struct socket *sock, struct task *t, int level, int name, void *value, uint32_t *len)
{
	struct tcp_sock *s = tcp_of(sock);
	_Atomic int32_t *number;
	int32_t v, min, max;

	if (level != L_SOL_TCP)
		return inet_get_option(sock, t, level, name, value, len);
	number = number_of(s, name, &min, &max);
	if (number)
		v = *number;
	else if (name == L_TCP_MAXSEG)
		v = segment(s);
	else if (name == L_TCP_FASTOPEN)
		v = 0;
	else if (name == L_TCP_INFO)
		return give_info(s, value, len);
	else if (name == L_TCP_CONGESTION)
		return give_name(s, value, len);
	else
		return -ENOPROTOOPT;
	return inet_give(value, len, &v, sizeof(v));
}

static int set_algorithm(struct tcp_sock *s, const void *value, uint32_t len)
{
	char name[NAME_MAX_LEN] = {0};

	if (len < 1)
		return -EINVAL;
	memcpy(name, value, min_of(len, NAME_MAX_LEN - 1));
	for (uint32_t i = 0; i < ARRAY_SIZE(algorithms); i++) {
		if (strcmp(name, algorithms[i]))
			continue;
		s->congestion = i;
		return 0;
	}
	return -ENOENT;
}

int tcp_set_option(struct socket *sock, struct task *t, int level, int name, const void *value, uint32_t len)
{
	struct tcp_sock *s = tcp_of(sock);
	_Atomic int32_t *number;
	int32_t v, min, max;

	if (level != L_SOL_TCP)
		return inet_set_option(sock, t, level, name, value, len);
	if (name == L_TCP_CONGESTION)
		return set_algorithm(s, value, len);
	if (len < sizeof(v))
		return -EINVAL;
	memcpy(&v, value, sizeof(v));
	if (name == L_TCP_MAXSEG) {
		if (v && (v < SEGMENT_MIN || v > SEGMENT_MAX))
			return -EINVAL;
		s->max_segment = v;
		return 0;
	}
	number = number_of(s, name, &min, &max);
	if (!number)
		return -ENOPROTOOPT;
	if (v < min || v > max)
		return -EINVAL;
	if (name == L_TCP_LINGER2)
		v = v < 0 ? -1 : min_of(v, FIN_TIME_MAX);
	*number = is_switch(name) ? v != 0 : v;
	return 0;
}
