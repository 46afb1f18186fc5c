/*
 * The attribute security.capability across user namespaces: capabilities(7), "Namespaced file capabilities".  On a file
 * system it says whose root gives the capabilities; one who is that root himself reads and writes it without.
 */
#include <endian.h>
#include <string.h>

#include "abi/capability.h"
#include "abi/errno.h"
#include "sentry/vfs/internal.h"

#define SIZE_2 20u /* bytes of revision 2, */
#define SIZE_3 24u /* and of revision 3, which ends with a user id */
#define ROOT_AT 5u /* where that is, in words */

static uint32_t revision_of(const uint32_t *raw)
{
	return le32toh(raw[0]) & L_VFS_CAP_REVISION_MASK;
}

/* The id of the root that raw, of a size of revision 2 or 3, speaks of; false: it is neither. */
static bool root_of(const uint32_t *raw, size_t size, uint32_t *root)
{
	if (size == SIZE_2 && revision_of(raw) == L_VFS_CAP_REVISION_2)
		*root = 0;
	else if (size == SIZE_3 && revision_of(raw) == L_VFS_CAP_REVISION_3)
		*root = le32toh(raw[ROOT_AT]);
	else
		return false;
	return true;
}

static void set_root(uint32_t *raw, uint32_t root)
{
	raw[0] = htole32((le32toh(raw[0]) & ~(uint32_t)L_VFS_CAP_REVISION_MASK) | L_VFS_CAP_REVISION_3);
	raw[ROOT_AT] = htole32(root);
}

bool file_caps_for(const struct inode *i, const uint32_t *raw, size_t size, const struct user_ns *u)
{
	uint32_t root = 0;

	(void)root_of(raw, size, &root); /* revision 1 is as revision 2 */
	root = id_from_ns(i->sb->user_ns, ID_USER, root);
	for (; root != ID_NONE && u; u = u->ns.owner)
		if (id_to_ns(u, ID_USER, root) == 0)
			return true;
	return false;
}

ssize_t file_caps_read(const struct inode *i, uint32_t raw[FILE_CAPS_WORDS], size_t size, const struct cred *c)
{
	uint32_t root, shown;

	if (!root_of(raw, size, &root))
		return (ssize_t)size;
	root = id_from_ns(i->sb->user_ns, ID_USER, root);
	shown = id_to_ns(c->user_ns, ID_USER, root);
	if (shown != ID_NONE && shown != 0) {
		set_root(raw, shown);
		return SIZE_3;
	}
	if (!file_caps_for(i, raw, size, c->user_ns))
		return -EOVERFLOW;
	raw[0] = htole32((le32toh(raw[0]) & ~(uint32_t)L_VFS_CAP_REVISION_MASK) | L_VFS_CAP_REVISION_2);
	return SIZE_2;
}

ssize_t file_caps_write(const struct inode *i, uint32_t raw[FILE_CAPS_WORDS], size_t size, const struct cred *c)
{
	uint32_t root;

	if (!root_of(raw, size, &root))
		return -EINVAL;
	if (size == SIZE_2 && cred_ns_capable(c, i->sb->user_ns, L_CAP_SETFCAP))
		return SIZE_2;
	root = id_to_ns(i->sb->user_ns, ID_USER, cred_read_uid(c, root));
	if (root == ID_NONE)
		return -EINVAL;
	set_root(raw, root);
	return SIZE_3;
}
