"""What the Linux kernel says of this host: small files, ioctl, netlink."""
