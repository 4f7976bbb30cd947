//go:build linux

package nemesis

import (
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

const (
	maxFrame = 1 << 16
	// maxWaiting bounds the frames on their way over one slow link: some 6 MB, more than a router's buffer.
	maxWaiting = 4096
	// maxQueue is how long frames wait for a narrow link before they are dropped, as the buffer of a router does.
	maxQueue = time.Second
)

// tap is a network device in a space whose other end is a file here.
type tap struct {
	name string
	file *os.File
}

func newTap(s *space, name string) (*tap, error) {
	t := &tap{name: name}
	err := s.enter(func() error {
		fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
		if err != nil {
			return fmt.Errorf("open /dev/net/tun: %w", err)
		}
		req, err := unix.NewIfreq(name)
		if err == nil {
			req.SetUint16(unix.IFF_TAP | unix.IFF_NO_PI)
			err = unix.IoctlIfreq(fd, unix.TUNSETIFF, req)
		}
		if err != nil {
			unix.Close(fd)
			return fmt.Errorf("make the TAP device %s: %w", name, err)
		}
		t.file = os.NewFile(uintptr(fd), name)
		return nil
	})
	if err != nil {
		return nil, err
	}
	if err := s.ip("link set " + name + " up"); err != nil {
		t.close()
		return nil, err
	}
	return t, nil
}

// close takes the device away.
func (t *tap) close() { _ = t.file.Close() }

// forward carries the frames of one slow link.
type forward struct {
	tap     *tap
	out     *tap
	link    Link
	rng     *rand.Rand
	waiting chan waitingFrame
	stop    chan struct{}
	done    sync.WaitGroup
}

type waitingFrame struct {
	data []byte
	at   time.Time
}

func newForward(from, to *Host, l Link, out *tap) (*forward, error) {
	t, err := newTap(from.space, fmt.Sprintf("slow%d", to.index))
	if err != nil {
		return nil, err
	}
	f := &forward{tap: t, out: out, link: l, rng: newRand(uint64(from.index), to.Name), waiting: make(chan waitingFrame, maxWaiting), stop: make(chan struct{})}
	f.done.Go(f.take)
	f.done.Go(f.give)
	return f, nil
}

// take reads frames and decides when each arrives, if it does.
func (f *forward) take() {
	defer close(f.waiting)
	buf := make([]byte, maxFrame)
	var free, last time.Time // when the wire is free again, when the last frame arrives
	for {
		n, err := f.tap.file.Read(buf)
		if err != nil {
			return
		}
		now := time.Now()
		if f.link.Loss > 0 && f.rng.Float64() < f.link.Loss {
			continue
		}
		at := now
		if f.link.Rate > 0 {
			if free.Before(now) {
				free = now
			}
			if free.Sub(now) > maxQueue {
				continue
			}
			free = free.Add(time.Duration(int64(n) * int64(time.Second) / f.link.Rate))
			at = free
		}
		at = at.Add(f.link.Delay)
		if f.link.Jitter > 0 {
			at = at.Add(time.Duration(f.rng.Int64N(int64(f.link.Jitter))))
		}
		if at.Before(last) {
			at = last
		}
		last = at
		select {
		case f.waiting <- waitingFrame{append([]byte(nil), buf[:n]...), at}:
		default: // dropped
		}
	}
}

// give puts frames onto the switch when their time has come.
func (f *forward) give() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for w := range f.waiting {
		timer.Reset(time.Until(w.at))
		select {
		case <-timer.C:
			_, _ = f.out.file.Write(w.data) // a frame that the switch does not take is a lost one
		case <-f.stop:
			return
		}
	}
}

func (f *forward) close() {
	close(f.stop)
	f.tap.close()
	f.done.Wait()
}
