// Package store keeps everything that skiff remembers: plain files below one
// root, changed by writing a temporary file and renaming it, under file locks.
//
// A process may die at any instruction and leave a store that the next command
// reads correctly. Nothing here talks to a network, and no process needs to be
// asked: what runs is told by locks that the kernel holds.
//
//	version                             format of the tree
//	driver                              what probing the storage drivers has shown, for this boot
//	boot                                symlink to the boot after which everything was looked at
//	blobs/sha256/<hex>                  manifests, configs and layers as served
//	refs/<registry>/<repo>/_tags/<tag>  what a tag names, one small file each
//	layers/<diff id>/                   unpacked layers, immutable; what is known of one in <diff id>.json
//	layers/<diff id>-<mapping>/         the same with the owners that a container with other ids needs
//	images/<manifest>                   summaries: an image exists while its own does
//	containers/<id>/                    record.json, config.json, state.json, alive, upper/, work/, merged/, log, driver
//	containers/<id>/                    what is mounted: hosts, hostname, resolv.conf, containerenv, secrets/, shm/
//	containers/<id>/seccomp.bpf         the compiled filter
//	containers/<id>/shim.sock           where its shim listens
//	containers/<id>/health.json         what its health checks have shown
//	containers/<id>/runtime/            what another OCI runtime keeps of it
//	containers/<id>/required            another one may have been created to require it
//	containers/<id>/networks.json       the networks that connect and disconnect have made of record.json's
//	containers/<id>/network.json        its place in its networks, as long as it runs
//	containers/<id>/ports.json          the host's ports that the network helper listens on for it
//	names/<name>                        symlink to the id of a container
//	live/<who>                          symlink to "<pid>.<start>.<boot id>" of a process in the user's namespace,
//	                                    or, as start-<id>, of one that is about to start a container
//	networks/<name>/                    network.json, and leases/<address>, symlinks to ids of containers
//	events/journal, journal.1           what happened, a line of JSON each: see event.go
//	secrets/<name>.json                 secrets, readable for the user alone
//	helper/                             what the network helper is reached by
//	libexec/                            the shim's program, where it is embedded
//	told/                               an empty file for each note that is given once
//	tmp/                                staging and what is being deleted; swept
//	locks/                              files that exist to be locked
package store
