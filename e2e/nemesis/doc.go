// Package nemesis answers: what do nodes do when the machines and wires under them fail? It gives a test real hosts to run real processes
// on, breaks them in ways a seed chooses, and checks afterwards what must hold whatever broke.
//
//   - Net is a switch with hosts on it, each in a network and mount namespace of its own with a disk of its own. Links between hosts are
//     cut, one way or both, and made slow, narrow and lossy.
//   - Host runs one process: kill -9, SIGTERM, SIGSTOP, a full disk, a power cut, a flipped bit, a wrong clock.
//   - Plan is a schedule of faults drawn from a seed: the same seed gives the same schedule, and it is printed.
//   - Manners, Archives and Searchable are the checkers: what the web saw, what is on disk, what can be found. Probe tells how available and
//     how slow something was meanwhile.
//
// It is for tests on Linux with root's rights; New says what is missing elsewhere. It is not a simulator: time is real, and what the kernel
// schedules is not repeatable, only what the plan does to it.
//
// # How a host is made
//
// A host is held by a small process in fresh namespaces that ends when this one does, however that happens; the kernel then takes
// interfaces, mounts, loop devices and processes away. Nothing of it is visible in the namespaces of the machine, and only the directory of the
// disk images can be left behind by a kill: New sweeps those of dead processes.
//
// # How each fault is made
//
//	cut           a tc filter where packets leave the host sends those to one address into the void; ARP goes on, no error is returned
//	slow link     the same filter sends them through a forwarder in this process, which delays, bounds and drops them; unlike netem it needs
//	              nothing of the kernel but a TAP device
//	power cut     the process is stopped, ext4 is shut down without flushing its log (EXT4_IOC_SHUTDOWN), the process killed, the disk
//	              mounted again: what was written but not synced is gone
//	disk full     a file of zeros takes the space of the host's own small file system
//	wrong clock   the vDSO's clock_gettime in the process is replaced by one that adds an offset to CLOCK_REALTIME (x86-64); libfaketime cannot
//	              reach Go programs, and time namespaces move the monotonic clock only, from which no Go program takes the date
//
// Nothing here needs netem, nft or the device mapper, which small kernels lack: it takes veth, bridge, TAP, clsact with u32 and mirred, loop
// devices and ext4.
//
// # What a power cut here does not show
//
// Ext4's journal is shared: one file's fsync often makes another's creation or renaming durable too, so a forgotten sync of a directory may
// go unseen; and what the kernel wrote back by itself before the cut stays. durable.CrashFS forgets all of that, for the code that runs on it.
package nemesis
