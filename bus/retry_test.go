package bus

import (
	"context"
	"errors"
	"testing"

	"github.com/nats-io/nats.go/jetstream"
)

// A message whose first try is still under way is refused the second time; the third finds it stored.
func TestTryStillUnderWay(t *testing.T) {
	b := &Bus{cfg: Config{Cluster: &Cluster{}}}
	tries := 0
	err := b.patiently(context.Background(), func(context.Context) error {
		switch tries++; tries {
		case 1:
			return context.DeadlineExceeded
		case 2:
			return &jetstream.APIError{Code: 409, ErrorCode: 10158, Description: "duplicate message id is in process"}
		}
		return nil
	})
	if err != nil || tries != 3 {
		t.Errorf("%d tries, error %v; want the third to succeed", tries, err)
	}
	tries = 0
	wrong := &jetstream.APIError{Code: 400, ErrorCode: 10071, Description: "wrong last sequence"}
	if err = b.patiently(context.Background(), func(context.Context) error { tries++; return wrong }); tries != 1 || !errors.Is(err, error(wrong)) {
		t.Errorf("a refusal for good was tried %d times, error %v", tries, err)
	}
}
