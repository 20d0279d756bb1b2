// Package cgroup finds the control groups that skiff may use on this host, makes one
// for each container, limits it and reads what it uses.
//
// Only cgroup v2 is used (Documentation/admin-guide/cgroup-v2.rst). Who may make
// groups there, in the order in which they are tried: the user's service manager, by
// D-Bus; whoever was given a subtree; nobody. The shim has no part of this package:
// it is told the path of a group that is complete, and moves processes into it.
package cgroup
