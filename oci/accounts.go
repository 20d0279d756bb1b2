package oci

import "os"

// AccountNames are the names that a container's own /etc/passwd and /etc/group have for
// ids, where they have one. root is as for [LookupUser]. The names are the container's
// words, and may be anything.
func AccountNames(root *os.File) (users, groupNames map[uint32]string, err error) {
	passwd, err := readUserFile(root, "etc/passwd")
	if err != nil {
		return nil, nil, err
	}
	group, err := readUserFile(root, "etc/group")
	if err != nil {
		return nil, nil, err
	}
	users, groupNames = map[uint32]string{}, map[uint32]string{}
	accounts(passwd, func(a account) bool {
		if _, known := users[a.uid]; !known {
			users[a.uid] = a.name
		}
		return true
	})
	groups(group, func(name string, gid uint32, _ string) bool {
		if _, known := groupNames[gid]; !known {
			groupNames[gid] = name
		}
		return true
	})
	return users, groupNames, nil
}
