package blob

import (
	"context"
	"errors"
	"net/http"

	"github.com/minio/minio-go/v7"

	"concord"
)

// explain says in plain words what a store meant and what to do about it.
func (b *Bucket) explain(ctx context.Context, action string, err error) error {
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return concord.Errorf(concord.KindOf(ctx.Err()), "%s: %w", action, ctx.Err())
	}
	var res minio.ErrorResponse
	if !errors.As(err, &res) {
		if concord.KindOf(err) != concord.Internal { // from the reader of a Put
			return concord.Errorf(concord.KindOf(err), "%s: %w", action, err)
		}
		return concord.Errorf(concord.Unavailable, "%s: cannot reach %s: %w", action, b.cfg.Endpoint, err)
	}
	kind, advice := b.advice(res)
	return concord.Errorf(kind, "%s: %s: %w", action, advice, err)
}

// advice maps the error codes of S3. A missing bucket is Invalid and not NotFound, which would say that a blob is not there.
func (b *Bucket) advice(res minio.ErrorResponse) (concord.Kind, string) {
	bucket := "bucket " + b.cfg.Bucket + " at " + b.cfg.Endpoint
	switch res.Code {
	case minio.NoSuchKey:
		return concord.NotFound, "it is not there"
	case minio.NoSuchBucket:
		return concord.Invalid, bucket + " does not exist: create it, or correct the place of blobs"
	case minio.InvalidBucketName:
		return concord.Invalid, b.cfg.Bucket + " is no name for a bucket: correct the place of blobs"
	case minio.AccessDenied, minio.AllAccessDisabled:
		return concord.Unauthorized, bucket + " may not be used with these keys: allow them to list, get, put and delete objects"
	case minio.InvalidAccessKeyID, "XAdminUserNotFound": // the second is what versitygw says
		return concord.Unauthorized, b.cfg.Endpoint + " does not know the access key: correct AWS_ACCESS_KEY_ID or the credentials file"
	case minio.SignatureDoesNotMatch:
		return concord.Unauthorized, "the secret key is wrong: correct AWS_SECRET_ACCESS_KEY or the credentials file"
	case "ExpiredToken", "ExpiredTokenException", "InvalidToken":
		return concord.Unauthorized, "the session token has run out: get a new one"
	case minio.RequestTimeTooSkewed:
		return concord.Unavailable, "the clock of this machine and that of " + b.cfg.Endpoint + " differ by more than 15 minutes: set it right"
	case minio.AuthorizationHeaderMalformed, minio.InvalidRegion, "PermanentRedirect", "TemporaryRedirect", "IllegalLocationConstraintException":
		return b.wrongRegion(bucket, res)
	case "QuotaExceeded", "XMinioStorageFull", "InsufficientStorage":
		return concord.Unavailable, bucket + " is full: free space or raise its quota"
	}
	switch {
	case res.StatusCode == http.StatusForbidden: // a HEAD has no code
		return concord.Unauthorized, bucket + " may not be used with these keys"
	case res.StatusCode >= 300 && res.StatusCode < 400:
		return b.wrongRegion(bucket, res)
	case res.StatusCode >= 400 && res.StatusCode < 500 && res.StatusCode != http.StatusTooManyRequests && res.StatusCode != http.StatusRequestTimeout:
		return concord.Internal, bucket + " refused the request"
	}
	return concord.Unavailable, bucket + " does not serve right now"
}

func (b *Bucket) wrongRegion(bucket string, res minio.ErrorResponse) (concord.Kind, string) {
	if res.Region == "" {
		return concord.Invalid, bucket + " is in another region than " + b.cfg.Region + ": put its region into the place of blobs, ?region=…"
	}
	return concord.Invalid, bucket + " is in region " + res.Region + ": put ?region=" + res.Region + " into the place of blobs"
}
