# The Debian packages that the scripts and tests need, and need_packages, which installs those that
# the machine lacks. To be sourced.

# Each line has a package, the program or file by which it is found, the uses of this tree that need
# it, and what they need it for. The uses: demo and apiserver-only, the demonstrations; unit, root
# and system, the tests of build.sh; faults and bench, the scripts of those names.
debian_packages() {
	cat <<'END'
ca-certificates /etc/ssl/certs/ca-certificates.crt demo,apiserver-only,system,faults,bench Go downloads modules
iproute2 ip demo,apiserver-only,root,system,faults,bench interfaces and network namespaces
util-linux nsenter demo,apiserver-only,root,system,faults,bench to enter namespaces
iputils-ping ping apiserver-only,system pings between Pods
iptables iptables demo,root,system,faults CNI plugins that masquerade and forward ports
nftables nft root,system,faults CNI plugins that use nftables
strace strace unit,root,system,bench to count and order system calls
runc runc demo,system the containers of the cluster's nodes
busybox-static busybox demo,system the image of the nodes' Pods
conmon conmon system the nodes with CRI-O
gcc gcc system pinns, a part of CRI-O
libc6-dev /usr/include/stdlib.h system pinns, a part of CRI-O
qemu-system-x86 qemu-system-x86_64 system the virtual machine of the tests with VLANs
END
}

# need_packages COMMAND USE... installs the packages that the uses need and that the machine lacks,
# after saying so. If no_install is set, or the packages cannot be installed, it says what to
# install and exits with 1. COMMAND is for the messages. Go is not among the packages: Debian's is
# too old.
need_packages() {
	local command=$1 missing install
	shift
	command -v go >/dev/null || refuse_packages "$command" 'go: not found; install it from https://go.dev/dl'
	missing=$(missing_packages "$@")
	[ -n "$missing" ] || return 0
	install="apt-get install --no-install-recommends $(cut -d' ' -f1 <<<"$missing" | xargs)"
	{
		printf '%s: this machine lacks Debian packages:\n' "$command"
		sed 's/^\([^ ]*\) /\1\t/' <<<"$missing" | expand -t 20 | sed 's/^/  /'
	} >&2
	if [ -n "${no_install-}" ]; then
		refuse_packages "$command" "--no-install is given; install them with: $install"
	elif ! command -v apt-get >/dev/null; then
		refuse_packages "$command" "not a Debian system, so install them yourself; on Debian: $install"
	elif [ "$(id -u)" != 0 ]; then
		refuse_packages "$command" "only root can install them: $install"
	fi
	printf '%s: installing them:\n$ apt-get update\n$ %s\n' "$command" "$install" >&2
	install_packages $(cut -d' ' -f1 <<<"$missing") ||
		refuse_packages "$command" 'installing the packages failed'
	missing=$(missing_packages "$@" | cut -d' ' -f1 | xargs)
	[ -z "$missing" ] || refuse_packages "$command" "still missing after the installation: $missing"
}

refuse_packages() {
	printf '%s: %s\n' "$@" >&2
	exit 1
}

install_packages() {
	local log code=0
	log=$(mktemp)
	{
		apt-get update -qq &&
			DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@"
	} >"$log" 2>&1 || code=1
	[ "$code" = 0 ] || cat "$log" >&2
	rm -f "$log"
	return "$code"
}

# missing_packages USE... prints the packages that the uses need and that the machine lacks: on each
# line one, and what it is needed for.
missing_packages() {
	local package found uses purpose use
	while read -r package found uses purpose; do
		for use; do
			if [[ ,$uses, == *,$use,* ]] && ! has_package "$package" "$found"; then
				printf '%s %s\n' "$package" "$purpose"
				break
			fi
		done
	done < <(debian_packages)
}

# has_package PACKAGE FOUND reports whether the machine has what a package provides, which may come
# from elsewhere.
has_package() {
	case $1 in
		ca-certificates) [ -e "${SSL_CERT_FILE:-$2}" ] ;;
		busybox-static) command -v "$2" >/dev/null && ! ldd "$(command -v "$2")" >/dev/null 2>&1 ;;
		*) command -v "$2" >/dev/null || [ -e "/${2#/}" ] ;;
	esac
}
