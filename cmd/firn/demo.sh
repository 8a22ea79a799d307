#!/bin/sh
# The demonstration of "make demo": a real tree goes into a repository and comes back, with
# the local index lost in between, and is compared with the original.
#
#   demo.sh FIRN        DEMO_TREE names the tree; by default it is the source of Go
set -eu

firn=$(cd "$(dirname "$1")" && pwd)/$(basename "$1")
tree=${DEMO_TREE:-$("${GO:-go}" env GOROOT)/src}
tree=$(cd "$tree" && pwd -P)
work=$(mktemp -d)
trap 'chmod -R u+rwx "$work" 2>/dev/null; rm -rf "$work"' EXIT
trap 'exit 130' INT TERM

# Nothing of the user is read or written: configuration, caches and keys lie in $work.
export XDG_CACHE_HOME="$work/cache" XDG_CONFIG_HOME="$work/config"
export FIRN_REPOSITORY="$work/repository" FIRN_PASSPHRASE_FILE="$work/passphrase"
unset FIRN_PROFILE FIRN_PASSPHRASE_COMMAND FIRN_IDENTITY_FILE
echo 'a passphrase for the demonstration' > "$FIRN_PASSPHRASE_FILE"

step() { printf '\n== %s\n' "$*"; }
run() { printf '$ firn %s\n' "$*"; "$firn" "$@"; }

# listing prints one line for each file below a directory, with everything that a backup
# keeps and find(1) can tell. Only root can give files away, so others leave out owners.
owner='%U %G' what='names, types, modes, owners, times, sizes, links'
[ "$(id -u)" = 0 ] || owner='-' what='names, types, modes, times, sizes, links'
listing() {
	(cd "$1" && find . \( -type d -printf "%P d %m $owner %T@\n" \) -o \
		\( -type l -printf "%P l $owner %T@ %l\n" \) -o -printf "%P %y %m $owner %T@ %s\n" | LC_ALL=C sort)
}

step "A repository in a temporary place"
run init

step "The first backup of $tree"
run backup "$tree"

step "The second backup: nothing changed"
run backup "$tree"
run snapshots

step "The local index is lost"
rm -rf "$XDG_CACHE_HOME"
echo "\$ rm -r \$XDG_CACHE_HOME"

step "Restore to another place"
run restore latest --target "$work/restored"

step "Compare contents and metadata"
diff -r --no-dereference "$tree" "$work/restored$tree"
echo "contents: no difference"
if find "$work" -maxdepth 0 -printf '' 2>/dev/null; then
	listing "$tree" > "$work/before"
	listing "$work/restored$tree" > "$work/after"
	diff "$work/before" "$work/after"
	echo "$what: no difference in $(wc -l < "$work/before") entries"
fi

step "Check every byte of the repository, and sum up"
run check --read-data
run stats
printf '\nThe demonstration is done: what came back equals what went in. %s is removed.\n' "$work"
