#!/usr/bin/env python3
"""Restores data from a firn repository without firn.

This is the escape hatch that docs/format.md promises. It needs a Unix system with Python 3.9, the programs age and
zstd, and what opens a key slot. It reads the log and the packs, never an index, and changes nothing in the repository.

    restore.py REPO [--identity FILE] snapshots              lists the snapshots
    restore.py REPO [--identity FILE] objects                lists the objects that are not snapshots
    restore.py REPO [--identity FILE] ls SNAPSHOT [PATH]     lists a directory
    restore.py REPO [--identity FILE] cat SNAPSHOT PATH      writes a file to the standard output
    restore.py REPO [--identity FILE] cat OBJECT             writes an object to the standard output
    restore.py REPO [--identity FILE] restore SNAPSHOT PATH TARGET

SNAPSHOT and OBJECT are IDs or the first digits of one. TARGET must not exist, or be an empty directory. Without
--identity, age asks for the passphrase of the slot. With --verify, every chunk that is read is hashed and compared with
its ID, at some 15 MB/s. The chain of commits and the digests in it are always checked, the Ed25519 signatures never.
Objects that the S3 endpoint sealed once more are opened with the program openssl, those of SSE-C with --customer-key,
a file with the 32 bytes of the key as they are or in base64.
Extended attributes, devices and sockets are not restored; owners are, when the user is root.

The sections in the comments are those of docs/format.md.
"""
import argparse, base64, collections, functools, hmac, json, os, signal, sqlite3, struct, subprocess, sys, tempfile, time

FULL, META = 1, 2  # Roles of writers.
FILE, DIRECTORY, SYMLINK, FIFO = range(4)  # Types of nodes.
CONTENT, TREE = 0, 1  # What a version holds.
KMS = ("aws:kms", "aws:kms:dsse")  # Encryption with a key of the bucket.
Pack = collections.namedtuple("Pack", "file frames chunks")


class Failure(Exception):
    """Failure is an error that is printed without a stack."""


def need(condition, message):
    if not condition:
        raise Failure(message)


# BLAKE3 (section 2). One Python integer holds the same state word of many pieces, 64 bits apart, so that each operation
# works on all of them at once.
IV = (0x6A09E667, 0xBB67AE85, 0x3C6EF372, 0xA54FF53A, 0x510E527F, 0x9B05688C, 0x1F83D9AB, 0x5BE0CD19)
ORDER = (2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8)
QUARTERS = ((0, 4, 8, 12), (1, 5, 9, 13), (2, 6, 10, 14), (3, 7, 11, 15),
            (0, 5, 10, 15), (1, 6, 11, 12), (2, 7, 8, 13), (3, 4, 9, 14))
START, END, PARENT, ROOT, KEYED, CONTEXT, MATERIAL = 1, 2, 4, 8, 16, 32, 64


def join(words):
    return int.from_bytes(struct.pack("<%dQ" % len(words), *words), "little")


def compress(cv, m, counter, length, flags, ones):
    mask = ones * 0xFFFFFFFF
    v = cv + [ones * word for word in IV[:4]] + [counter, 0, ones * length, ones * flags]
    for _ in range(7):
        for i, (a, b, c, d) in enumerate(QUARTERS):
            for word, r, s in ((m[2 * i], 16, 12), (m[2 * i + 1], 8, 7)):
                v[a] = (v[a] + v[b] + word) & mask
                x = v[d] ^ v[a]
                v[d] = (x >> r | x << 32 - r) & mask
                v[c] = (v[c] + v[d]) & mask
                x = v[b] ^ v[c]
                v[b] = (x >> s | x << 32 - s) & mask
        m = [m[i] for i in ORDER]
    return [v[i] ^ v[i + 8] for i in range(8)]


def pieces(data, count, counters, key, flags, first, last):
    """Hashes count pieces of equal length and returns the chaining value of each."""
    size, ones = len(data) // count, join([1] * count)
    blocks = max(1, -(-size // 64))
    words = struct.unpack("<%dI" % (16 * blocks * count), data.ljust(64 * blocks * count, b"\0"))
    cv = [ones * word for word in key]
    for b in range(blocks):
        marks = flags | (first if b == 0 else 0) | (last if b == blocks - 1 else 0)
        m = [join(words[16 * b + i::16 * blocks]) for i in range(16)]
        cv = compress(cv, m, join(counters), min(64, size - 64 * b), marks, ones)
    return list(zip(*(struct.unpack("<%dQ" % count, word.to_bytes(8 * count, "little")) for word in cv)))


def blake3(data, key=None, flags=0):
    key, full, values = struct.unpack("<8I", key) if key else IV, len(data) // 1024, []
    if len(data) <= 1024:
        values = pieces(data, 1, [0], key, flags, START, END | ROOT)
    else:
        values = pieces(data[:full * 1024], full, range(full), key, flags, START, END)
        if len(data) % 1024:
            values += pieces(data[full * 1024:], 1, [full], key, flags, START, END)
    while len(values) > 1:
        pairs, last = len(values) // 2, PARENT | (ROOT if len(values) == 2 else 0)
        parents = b"".join(struct.pack("<8I", *value) for value in values[:2 * pairs])
        values = pieces(parents, pairs, [0] * pairs, key, flags, 0, last) + values[2 * pairs:]
    return struct.pack("<8I", *values[0])


@functools.lru_cache(None)
def derive_key(context, secret):
    return blake3(secret, blake3(context.encode(), None, CONTEXT), MATERIAL)


def decode(data, at=0):
    """Decodes one CBOR item and returns it with the offset behind it (section 2)."""
    major, value, at = data[at] >> 5, data[at] & 31, at + 1
    need(value < 28, "CBOR has an item of indefinite length")
    if value >= 24:
        size = 1 << value - 24
        need(at + size <= len(data), "CBOR ends too early")
        value, at = int.from_bytes(data[at:at + size], "big"), at + size
    if major == 0:
        return value, at
    if major == 1:
        return -1 - value, at
    if major in (2, 3):
        need(at + value <= len(data), "CBOR ends too early")
        text = bytes(data[at:at + value])
        return text if major == 2 else text.decode(), at + value
    if major in (4, 5):
        items = []
        for _ in range(value * (major - 3)):
            item, at = decode(data, at)
            items.append(item)
        if major == 4:
            return items, at
        record = dict(zip(items[::2], items[1::2]))
        need(len(record) == value, "CBOR repeats a key")
        return record, at
    need(major == 7 and value in (20, 21, 22), "CBOR has an item of a type that is not used here")
    return {20: False, 21: True, 22: None}[value], at


def record(value, last):
    """Checks that value is a map whose keys are among 0 to last."""
    need(isinstance(value, dict) and all(key in range(last + 1) for key in value), "a record has unknown fields")
    return value


def run(command, given=None, output=subprocess.PIPE):
    """Runs a program, which reads the bytes given, and returns what it prints or writes it to the file output."""
    done = subprocess.run(command, input=given, stdout=output, stderr=subprocess.PIPE)
    need(done.returncode == 0, "%s: %s" % (" ".join(command), done.stderr.decode(errors="replace").strip()))
    return done.stdout


def read(*names):
    with open(os.path.join(*names), "rb") as f:
        return f.read()


class Repository:
    def __init__(self, root, scratch, identity, slot, verify):
        self.root, self.scratch, self.verify = root, scratch, verify
        # Eight packs in temporary files, which vanish when they are forgotten, and sixteen frames in memory are kept.
        self.pack, self.frame = functools.lru_cache(8)(self.open_pack), functools.lru_cache(16)(self.decode_frame)
        config = read(root, "config").split(b"\n")  # Section 4.
        need(config[0] == b"firn repository", "%s is not a firn repository" % root)
        need(config[1:2] == [b"version 1"] and len(config) == 4, "config is damaged, or of a later version")
        self.id = config[2].decode().partition("id ")[2]
        self.open_slot(identity, slot)
        self.read_log()

    def open_slot(self, identity, wanted):
        """Opens the first slot that the identity or the passphrase fits (section 5)."""
        slots, problems = [], []
        for role in ("full", "meta"):
            folder = os.path.join(self.root, "keys", role)
            names = sorted(os.listdir(folder)) if os.path.isdir(folder) else []
            slots += [os.path.join(folder, name) for name in names
                      if name.endswith(".age") and name[0] != "." and wanted in (None, role + "/" + name[:-4])]
        for path in slots:
            has_passphrase = b"\n-> scrypt " in read(path)[:1000]
            if has_passphrase == bool(identity):
                continue
            try:
                self.slot = json.loads(run(["age", "-d"] + (["-i", identity] if identity else []) + [path]))
            except Failure as problem:
                problems.append(str(problem))
                continue
            need((self.slot["format"], self.slot["version"]) == ("firn key slot", 1), path + " is no slot of version 1")
            need(self.slot["repository"] == self.id, path + " is of another repository")
            return
        problems.append("no key slot opens with " + ("this identity" if identity else "a passphrase; give --identity"))
        raise Failure("\n".join(problems))

    def decrypt(self, kind, path, output=subprocess.PIPE):
        """Decrypts an age file that is sealed to D (kind 0) or M (kind 1). The identity goes to age through a pipe."""
        identity = self.slot.get(("data_identity", "meta_identity")[kind])
        need(identity, "this key slot has the role %s, which cannot read data" % self.slot["role"])
        return run(["age", "-d", "-i", "-", path], identity.encode() + b"\n", output)

    def extract(self, sealed):
        path = os.path.join(self.scratch, "sealed")
        with open(path, "wb") as f:
            f.write(sealed)
        return path

    def commit_path(self, n):
        return os.path.join(self.root, "log", "%06x" % (n // 4096), "%016x" % n)

    def read_log(self):
        """Folds the commits, from the first to the last, into packs and versions (section 10)."""
        self.writers, self.revoked, self.sessions, self.buckets, self.versions = {}, set(), {}, set(), {}
        self.settings = {}  # Rows of table bucket.
        # This is a temporary database on disk, because the directories of all packs can be larger than memory.
        self.db = sqlite3.connect("")
        self.db.execute("create table packs (n integer primary key, id unique, kind, tier, size, directory, seq, at)")
        n, previous = 0, bytes(32)
        while os.path.exists(self.commit_path(n + 1)):
            n += 1
            try:
                previous = self.read_commit(n, previous, read(self.commit_path(n)))
            except (Failure, LookupError, TypeError, ValueError, struct.error) as problem:
                raise Failure("commit %d: %s" % (n, problem if isinstance(problem, Failure) else repr(problem)))
        names = [name for _, _, names in os.walk(os.path.join(self.root, "log")) for name in names if name[0] != "."]
        need(n > 0 and max(names) == "%016x" % n, "commit %d is missing" % (n + 1))
        self.db.execute("create table chunks (id, pack)")
        for number, directory in self.db.execute("select n, directory from packs").fetchall():
            rows = ((id, number) for id, _ in parse_directory(directory)[1])
            self.db.executemany("insert into chunks values (?, ?)", rows)
        self.db.execute("create index chunk_ids on chunks (id)")

    def read_commit(self, n, previous, data):
        """Checks a commit, applies it unless it is void, and returns its hash."""
        magic, version, reserved, size = struct.unpack_from(">8sHHI", data)
        need(magic == b"firn-log" and version == 1 and reserved == 0, "this is no commit of version 1")
        header, at = record(decode(data[16:16 + size])[0], 13), 80 + size
        hash, writer = blake3(data[:at]), header[3]
        need(header[0] == n and header[1] == previous, "it does not follow the commit before")
        if n == 1:
            need(hash[:16].hex() == self.id, "it is of another repository")
            need(writer.hex() == self.slot["founder"], "its writer is not the founder")
            self.writers[writer] = FULL
        need(writer in self.writers, "its writer was never admitted")
        body, at, embedded = data[at:at + header[10][0]], at + header[10][0], {}
        need(blake3(body) == header[10][1], "its body is damaged")
        for id, size, digest in header.get(11, []):
            embedded[id] = at
            need(blake3(data[at:at + size]) == digest, "the embedded pack %s is damaged" % id.hex())
            at += size
        need(at == len(data), "its length is wrong")
        begins, ends = header.get(6, 0) & 1, header.get(6, 0) & 2
        # A session that is known leads to its writer while it is open, and to False later.
        if writer not in self.revoked and self.sessions.get(header[4]) == (None if begins else writer):
            self.sessions[header[4]] = writer
            body = record(decode(run(["zstd", "-dcq"], self.decrypt(1, self.extract(body))))[0], 6)
            self.apply(n, header, body, self.writers[writer], embedded)
            if ends:
                self.sessions[header[4]] = False
        return hash

    def apply(self, n, header, body, role, embedded):
        packs, strong = body.get(0, []), role in (FULL, META)
        for certificate in header.get(12, []) if role == FULL else []:
            if certificate[2] == header[3]:
                self.writers.setdefault(certificate[0], certificate[1])
        self.revoked.update(header.get(13, []) if role == FULL else [])
        self.sessions.update((id, False) for id in header.get(7, []) if strong and self.sessions.get(id))
        self.buckets.update(body.get(1, []))
        need([p[0] for p in packs] == header.get(8, []), "header and body name different packs")
        for p in packs:
            self.db.execute("insert or ignore into packs values (null, ?, ?, ?, ?, ?, ?, ?)",
                            (p[0], p[1], p[3], p[4], p[7], n if p[0] in embedded else 0, embedded.get(p[0])))
        for id in header.get(9, []) if strong else []:
            self.db.execute("delete from packs where id = ?", (id,))
        for removal in body.get(3, []) if strong else []:
            self.versions.pop(tuple(removal), None)
        for version in body.get(2, []):
            if record(version, 14)[0] in self.buckets:
                self.versions.setdefault((version[0], version[1], version[2]), version)
        for changed in body.get(6, []) if strong else []:
            version = self.versions.get((changed[0], changed[1], changed[2]))
            if version:
                for key in range(8, 13):
                    version.pop(key, None)
                version.update(record(changed, 12))
        empty = set(body.get(4, []) if strong else []).difference(version[0] for version in self.versions.values())
        self.buckets -= empty
        for table, key, value in body.get(5, []) if strong else []:
            if table == "bucket":
                self.settings[key] = value

    def open_pack(self, n):
        """Decrypts a pack into a temporary file (section 6)."""
        id, kind, tier, size, directory, seq, at = self.db.execute(
            "select id, kind, tier, size, directory, seq, at from packs where n = ?", (n,)).fetchone()
        name, file = id.hex(), tempfile.TemporaryFile(dir=self.scratch)
        path = os.path.join(self.root, "packs", name[:2], name)
        if seq:
            path = self.extract(read(self.commit_path(seq))[at:at + size])
        need(os.path.exists(path), "pack %s, of tier %d, is missing" % (name, tier))
        self.decrypt(kind, path, file)
        file.seek(0)
        need(file.read(32) == struct.pack(">8sHBx16s4x", b"firnpack", 1, kind, id), "pack %s has a wrong header" % name)
        listed, sizes = parse_directory(directory)
        frames, chunks, at = [], {}, 32
        for stored, plain, count, codec in listed:
            offset = 0
            for _ in range(count):
                chunk, length = next(sizes)
                chunks[chunk] = (len(frames), offset, length)
                offset += length
            need(offset == plain, "pack %s has a wrong directory" % name)
            frames.append((at, stored, plain, codec))
            at += stored
        file.seek(at)
        need(file.read() == directory + struct.pack(">I4x8s", len(directory), b"firn-dir"),
             "pack %s and the log disagree about its directory" % name)
        return Pack(file, frames, chunks)

    def decode_frame(self, n, i):
        pack = self.pack(n)
        at, stored, plain, codec = pack.frames[i]
        pack.file.seek(at)
        data = pack.file.read(stored)
        data = run(["zstd", "-dcq"], data) if codec == 1 else data
        need(len(data) == plain and codec in (0, 1), "a frame is damaged")
        return data

    def chunk(self, id, kind):
        """Returns a chunk of data (kind 0) or metadata (kind 1)."""
        found = self.db.execute("select n from chunks join packs on n = pack where chunks.id = ? and kind = ?",
                                (id, kind)).fetchone()
        need(found, "no pack holds chunk %s" % id.hex())
        i, offset, length = self.pack(found[0]).chunks[id]
        data = self.frame(found[0], i)[offset:offset + length]
        if self.verify:  # Section 7.
            context = ("firn v1 chunk id key", "firn v1 metadata id key")[kind]
            key = derive_key(context, bytes.fromhex(self.slot["secret"]))
            need(blake3(data, key, KEYED) == id, "chunk %s is damaged" % id.hex())
        return data

    def content(self, handle):
        """Yields the bytes of a content, and for each hole its length (section 8)."""
        form, size, body = struct.unpack(">BQ32s", handle)
        if form == 0:
            need(size <= 32, "a content is malformed")
            yield body[:size]
            return
        for span, id in [(size, body)] if form == 1 else self.spans(form - 2, size, body):
            data = span if form > 1 and id == bytes(32) else self.chunk(id, 0)
            need(data is span or len(data) == span, "a chunk has a wrong length")
            yield data

    def spans(self, level, size, id):
        """Yields the spans and IDs of the chunks below a list."""
        data = self.chunk(id, 1)
        need(data[:4] == bytes([0x4C, 1, level, 0]) and level <= 6 and len(data) % 40 == 4, "a list is malformed")
        for span, child in struct.iter_unpack(">Q32s", data[4:]):
            size -= span
            yield from self.spans(level - 1, span, child) if level else [(span, child)]
        need(size == 0, "the spans of a list do not add up")

    def object(self, version, customer_key):
        """Yields the bytes of an object, opened when it was sealed once more (section 17)."""
        system, key, pieces = version.get(10, {}), None, self.content(version[5])
        if "ssec-key-md5" in system:
            need(customer_key, "the object is sealed with a key of its client; give --customer-key")
            key, check = customer_key, base64.b64decode(system["sse-key-check"])
            need(expand(key, check[:16], b"firn s3 key check") == check[16:], "the object is sealed with another key")
        elif system.get("sse") in KMS:
            bucket = self.settings.get(version[0].encode())
            configurations = decode(bucket)[0].get(6, {}) if bucket else {}
            key = base64.b64decode(configurations.get("kms:" + system["sse-kms-key-id"], ""))
            need(len(key) == 32, "the key %s of the bucket is gone" % system["sse-kms-key-id"])
        if key is None:
            yield from pieces
            return
        data = b""
        for size in version.get(13, []):
            while len(data) < 16:
                data += next(pieces)
            derived, data, at = expand(key, data[:16], b"firn s3 sealed part").hex(), data[16:], 0
            while at < size:
                want = min(size - at, 1 << 24)  # Each run of openssl begins at a block.
                parts, have = [data], len(data)
                while have < want:
                    parts.append(next(pieces))
                    have += len(parts[-1])
                data = b"".join(parts)
                yield run(["openssl", "enc", "-d", "-aes-256-ctr", "-K", derived, "-iv", "%032x" % (at // 16)], data[:want])
                data, at = data[want:], at + want

    def nodes(self, tree, start=b""):
        """Yields the nodes of a directory in order; it may leave out those before start (section 9)."""
        level, data, at = tree[0], self.chunk(tree[1:], 1), 4
        need(data[:4] == bytes([0x54, 1, level, 0]) and level <= 6, "a tree block is malformed")
        while at < len(data):
            item, at = decode(data, at)
            if level == 0:
                yield record(item, 20)
            elif record(item, 2)[0] >= start:
                yield from self.nodes(bytes([level - 1]) + item[1], start)

    def find_version(self, prefix, kind):
        found = [v for v in self.versions.values() if v[4] == kind and v[2].hex().startswith(prefix.lower())]
        need(len(found) == 1, "%s version has an ID that begins with %s" % ("more than one" if found else "no", prefix))
        return found[0]

    def find_node(self, node, path):
        for name in filter(None, os.fsencode(path).split(b"/")):
            below = self.nodes(node[14], name) if node[1] == DIRECTORY else []
            node = next((child for child in below if child[0] == name), None)
            need(node, "%s is not in the snapshot" % path)
        return node


def expand(key, salt, info):
    """HKDF-SHA256 (RFC 5869) for 32 bytes."""
    return hmac.digest(hmac.digest(salt, key, "sha256"), info + b"\1", "sha256")


def customer_key(path):
    data = read(path)
    data = data if len(data) == 32 else base64.b64decode(data)
    need(len(data) == 32, path + " does not hold a key of 32 bytes")
    return data


def parse_directory(data):
    """Returns frames, as (stored, plain, chunks, codec), and chunks, as (ID, length), of a directory (section 6)."""
    frames, chunks = struct.unpack_from(">II", data)
    need(len(data) == 8 + 16 * frames + 36 * chunks, "the directory of a pack is malformed")
    split = 8 + 16 * frames
    return struct.iter_unpack(">IIIB3x", data[8:split]), struct.iter_unpack(">32sI", data[split:])


def shown(name):
    """Returns a name as text that is safe to print."""
    text = name.decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def moment(nanoseconds):
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(nanoseconds // 10**9))


def list_versions(repo, kind):
    for v in sorted((v for v in repo.versions.values() if v[4] == kind), key=lambda v: v[3]):
        size = v[7][8] if kind == TREE else struct.unpack_from(">xQ", v[5])[0]
        if kind == CONTENT and (v.get(10, {}).get("sse") in KMS or "ssec-key-md5" in v.get(10, {})):
            size = sum(v.get(13, []))  # Section 17.
        paths = " ".join(map(shown, v[7][2])) if kind == TREE else ""
        print(v[2].hex(), moment(v[3]), "%14d" % size, v[0] + "/" + shown(v[1]), paths)


def list_nodes(nodes):
    for node in nodes:
        target = " -> " + shown(node[15]) if node[1] == SYMLINK else ""
        print("%s%04o %14s" % ("-dlpcbs"[node[1]], node[2], node.get(12, "")), moment(node[7]), shown(node[0]) + target)


def write(content, out, holes):
    """Writes a content to a file, leaving holes where the content has them, or zeros."""
    for data in content:
        if isinstance(data, bytes):
            out.write(data)
        elif holes:
            out.seek(data, os.SEEK_CUR)
        else:
            for at in range(0, data, 1 << 20):
                out.write(bytes(min(data - at, 1 << 20)))
    if holes:
        out.truncate()


def restore(repo, node, target, links):
    """Writes a node and what is below it. The target must not exist: so no link is followed, and nothing overwritten."""
    kind, mode = node[1], node[2]
    inode = (node.get(9), node.get(10)) if node.get(11, 1) > 1 else None
    if inode in links and kind != DIRECTORY:
        return os.link(links[inode], target, follow_symlinks=False)
    if kind == DIRECTORY:
        os.mkdir(target, 0o700)
        previous = b""
        for child in repo.nodes(node[14]):
            name = child[0]
            need(name > previous and name not in (b".", b"..") and not set(name) & {0, ord("/")},
                 "a directory has a malformed name: " + shown(name))
            restore(repo, child, os.path.join(target, name), links)
            previous = name
    elif kind == FILE:
        with open(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
            write(repo.content(node[13]), out, True)
    elif kind == SYMLINK:
        os.symlink(node[15], target)
    elif kind == FIFO:
        os.mkfifo(target)
    else:
        return print("skipped, a device or socket: " + shown(target), file=sys.stderr)
    if inode:
        links[inode] = target
    if os.geteuid() == 0:
        os.chown(target, node[3], node[4], follow_symlinks=False)
    else:
        mode &= 0o1777  # Setuid and setgid mean nothing without the owner.
    if kind != SYMLINK:
        os.chmod(target, mode)
    os.utime(target, ns=(node[7], node[7]), follow_symlinks=False)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("repo")
    parser.add_argument("--identity", help="file with an age identity or an ssh key")
    parser.add_argument("--slot", help="key slot to open, such as full/default")
    parser.add_argument("--customer-key", metavar="FILE", help="key that an object was put with (SSE-C)")
    parser.add_argument("--verify", action="store_true", help="check the ID of every chunk that is read")
    commands = parser.add_subparsers(dest="command", required=True)
    for name, words in {"snapshots": "", "objects": "", "ls": "version [path]", "cat": "version [path]",
                        "restore": "version path target"}.items():
        command = commands.add_parser(name)
        for word in words.split():
            command.add_argument(word.strip("[]"), nargs="?" if word[0] == "[" else None)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="restore-") as scratch:
        repo, out = Repository(args.repo, scratch, args.identity, args.slot, args.verify), sys.stdout.buffer
        if args.command in ("snapshots", "objects"):
            return list_versions(repo, TREE if args.command == "snapshots" else CONTENT)
        if args.command == "cat" and args.path is None:
            key = args.customer_key and customer_key(args.customer_key)
            return write(repo.object(repo.find_version(args.version, CONTENT), key), out, False)
        node = repo.find_node(repo.find_version(args.version, TREE)[6], args.path or "/")
        if args.command == "ls":
            list_nodes(repo.nodes(node[14]) if node[1] == DIRECTORY else [node])
        elif args.command == "cat":
            need(node[1] == FILE, "%s is not a regular file" % args.path)
            write(repo.content(node[13]), out, False)
        else:
            if node[1] == DIRECTORY and os.path.isdir(args.target):
                os.rmdir(args.target)  # This fails unless the directory is empty.
            restore(repo, node, os.fsencode(args.target), {})


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # So that temporary files are removed.
    sys.setrecursionlimit(5000)  # Directories can be deep.
    try:
        main()
        sys.stdout.flush()
    except KeyboardInterrupt:
        sys.exit(130)
    except (Failure, OSError) as problem:
        sys.exit("restore.py: %s" % problem)
    except (LookupError, TypeError, ValueError, RecursionError, struct.error) as problem:
        sys.exit("restore.py: the repository is damaged: %r" % problem)
