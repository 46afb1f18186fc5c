/* See interface.h.  Nothing of it can be changed: who tries is not allowed to. */
#include "sentry/net/interface.h"

#include <string.h>

#include "abi/errno.h"
#include "abi/ioctl.h"
#include "abi/socket.h"
#include "base/checked.h"
#include "platform/uaccess.h"

#define LOOPBACK_ADDR 0x0100007fu /* 127.0.0.1, big-endian */
#define LOOPBACK_MASK 0x000000ffu

static void put_addr(struct l_ifreq *r, uint32_t addr)
{
	struct l_sockaddr_in in = {.sin_family = L_AF_INET, .sin_addr = addr};

	memcpy(&r->ifr_addr, &in, sizeof(in));
}

/* All interfaces that have an address, as far as there is room. */
static int list(struct pctx *ctx, uint64_t arg)
{
	struct l_ifreq one = {.ifr_name = LOOPBACK_NAME};
	struct l_ifconf c;
	int r = copy_in(ctx, &c, arg, sizeof(c));

	if (r < 0)
		return r;
	put_addr(&one, LOOPBACK_ADDR);
	if (!c.ifc_buf) {
		c.ifc_len = sizeof(one);
	} else if (c.ifc_len >= (int32_t)sizeof(one)) {
		r = copy_out(ctx, c.ifc_buf, &one, sizeof(one));
		c.ifc_len = sizeof(one);
	} else {
		c.ifc_len = 0;
	}
	return r < 0 ? r : copy_out(ctx, arg, &c, sizeof(c));
}

static int name_of(struct pctx *ctx, uint64_t arg, struct l_ifreq *r)
{
	if (r->ifr_ivalue != LOOPBACK_INDEX)
		return -ENODEV;
	memset(r->ifr_name, 0, sizeof(r->ifr_name));
	strcpy(r->ifr_name, LOOPBACK_NAME);
	return copy_out(ctx, arg, r, sizeof(*r));
}

static int ask(unsigned cmd, struct l_ifreq *r)
{
	switch (cmd) {
	case L_SIOCGIFFLAGS:
		r->ifr_flags = L_IFF_UP | L_IFF_LOOPBACK | L_IFF_RUNNING;
		return 0;
	case L_SIOCGIFADDR:
		put_addr(r, LOOPBACK_ADDR);
		return 0;
	case L_SIOCGIFNETMASK:
		put_addr(r, LOOPBACK_MASK);
		return 0;
	case L_SIOCGIFBRDADDR:
	case L_SIOCGIFDSTADDR:
		put_addr(r, cmd == L_SIOCGIFDSTADDR ? LOOPBACK_ADDR : 0);
		return 0;
	case L_SIOCGIFHWADDR:
		memset(&r->ifr_addr, 0, sizeof(r->ifr_addr));
		r->ifr_addr.sa_family = L_ARPHRD_LOOPBACK;
		return 0;
	case L_SIOCGIFMTU:
		r->ifr_ivalue = LOOPBACK_MTU;
		return 0;
	case L_SIOCGIFINDEX:
		r->ifr_ivalue = LOOPBACK_INDEX;
		return 0;
	case L_SIOCGIFTXQLEN:
		r->ifr_ivalue = LOOPBACK_QUEUE;
		return 0;
	case L_SIOCGIFMETRIC:
		r->ifr_ivalue = 0;
		return 0;
	case L_SIOCGIFMAP:
		memset(r->ifr_map, 0, sizeof(r->ifr_map));
		return 0;
	}
	return -ENOTTY;
}

static bool is_change(unsigned cmd)
{
	return cmd == L_SIOCSIFFLAGS || cmd == L_SIOCSIFADDR || cmd == L_SIOCSIFNETMASK || cmd == L_SIOCSIFMTU || cmd == L_SIOCSIFNAME;
}

long interface_ioctl(struct pctx *ctx, unsigned cmd, uint64_t arg)
{
	struct l_ifreq r;
	int e;

	if (cmd == L_SIOCGIFCONF)
		return list(ctx, arg);
	if (cmd != L_SIOCGIFNAME && !is_change(cmd) && ask(cmd, &(struct l_ifreq){0}) == -ENOTTY)
		return -ENOTTY;
	e = copy_in(ctx, &r, arg, sizeof(r));
	if (e < 0)
		return e;
	if (cmd == L_SIOCGIFNAME)
		return name_of(ctx, arg, &r);
	if (is_change(cmd))
		return -EPERM;
	r.ifr_name[L_IFNAMSIZ - 1] = 0;
	if (strcmp(r.ifr_name, LOOPBACK_NAME))
		return -ENODEV;
	e = ask(cmd, &r);
	return e < 0 ? e : copy_out(ctx, arg, &r, sizeof(r));
}
