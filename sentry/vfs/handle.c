/*
 * File handles: a number and a generation by which a file is found again whatever its name is by then.  Numbers are
 * never used twice here, so that the generation only has to make a handle of one file system worthless in another.
 *
 * An overlay has no handles that can be opened, as one that Linux mounts without nfs_export.
 *
 * DIVERGES: a handle leads to a name; of a file that has none any more but is open it is stale, where Linux's tmpfs
 * finds the file.
 */
#include <string.h>

#include "abi/errno.h"
#include "sentry/vfs/internal.h"

static uint32_t generation(const struct super_block *sb, uint64_t ino)
{
	uint64_t x = (ino + 1) * 0x9e3779b97f4a7c15ull ^ (sb->dev + 1) * 0xbf58476d1ce4e5b9ull;

	return (uint32_t)(x >> 32);
}

static bool can_be_opened(const struct super_block *sb)
{
	return sb->ops && sb->ops->find_ino && !(sb->flags & SB_NO_HANDLES);
}

int vfs_handle_of(const struct path *p, bool id_only, struct vfs_handle *out)
{
	const struct super_block *sb = p->dentry->sb;
	uint64_t ino = p->dentry->inode->ino;
	uint32_t gen;

	if (can_be_opened(sb)) { /* as Linux's tmpfs lays it out */
		gen = generation(sb, ino);
		out->type = L_FILEID_INO32_GEN;
		memcpy(out->bytes, &gen, sizeof(gen));
		memcpy(out->bytes + sizeof(gen), &ino, sizeof(ino));
		return 0;
	}
	if (!id_only)
		return -EOPNOTSUPP;
	gen = 0;
	out->type = L_FILEID_INO64_GEN;
	memcpy(out->bytes, &ino, sizeof(ino));
	memcpy(out->bytes + sizeof(ino), &gen, sizeof(gen));
	return 0;
}

int vfs_handle_resolve(const struct path *at, const struct vfs_handle *h, size_t size, struct path *out)
{
	struct super_block *sb = at->dentry->sb;
	struct dentry *d;
	uint32_t gen;
	uint64_t ino;
	int r;

	if (!can_be_opened(sb) || size < sizeof(h->bytes))
		return -ESTALE;
	memcpy(&gen, h->bytes, sizeof(gen));
	memcpy(&ino, h->bytes + sizeof(gen), sizeof(ino));
	if (gen != generation(sb, ino))
		return -ESTALE;
	r = sb->ops->find_ino(sb, ino, &d);
	if (r < 0)
		return r;
	*out = (struct path){mount_get(at->mnt), d};
	return 0;
}
