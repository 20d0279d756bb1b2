// Command bench compares skiff with podman, crun and bubblewrap as whole processes,
// from start to exit, as one ordinary user on one machine. It is not shipped.
//
// All contenders run in turn, so that what disturbs the machine disturbs them
// alike; medians and their ratios are reported as a table, as JSON and as a chart.
// crun and bubblewrap start from an unpacked root file system, with one id and no
// image store: they show what the kernel's part of the work costs.
//
// Its other part compares networks: agents (package netload) in containers of each tool
// send to the host, to each other and are sent to, and every payload is checked. What a
// tool got wrong is part of the report. veth and loopback show what the kernel can do.
package main
