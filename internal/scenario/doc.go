// Package scenario tries skiff's networks on a machine of its own: a namespace that
// stands for the host, with two addresses, a route to a world in which there are
// servers and clients, and a resolv.conf that tests change (package netlab). All of
// it is tests; nothing of it is shipped.
package scenario
