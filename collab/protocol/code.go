package protocol

import "net/http"

// A Code is one cause of refusal. The same word stands in error messages, in
// bye, and in the problems of the HTTP API.
type Code string

// The codes of the contract.
const (
	BadMessage   Code = "bad_message"
	BadOp        Code = "bad_op"
	BadSeq       Code = "bad_seq"
	BadVersion   Code = "bad_version"
	ClientTaken  Code = "client_taken"
	Replaced     Code = "replaced"
	TokenExpired Code = "token_expired"
	BadToken     Code = "bad_token"
	Forbidden    Code = "forbidden"
	TooLarge     Code = "too_large"
	RateLimited  Code = "rate_limited"
	Deleted      Code = "deleted"
	Slow         Code = "slow"
	Unavailable  Code = "unavailable"
	NotFound     Code = "not_found" // HTTP alone
	Draining     Code = "draining"  // bye alone
	Exists       Code = "exists"    // HTTP alone
	Gone         Code = "gone"      // HTTP alone: the history was folded away
)

// CloseForbidden is the close code after Forbidden where the connection ends: the
// document is no longer the token's at all, or the session was ended.
const CloseForbidden = 4403

// Close is the WebSocket close code that follows an error of this code, 0 where the connection goes on.
func (c Code) Close() int {
	switch c {
	case BadMessage, BadOp, BadSeq:
		return 4400
	case TokenExpired:
		return 4401
	case BadVersion, ClientTaken, Replaced:
		return 4409
	case Deleted:
		return 4410
	case Draining:
		return 1012
	case Slow, Unavailable:
		return 1013
	}
	return 0
}

// Status is the HTTP status of a problem with this code.
func (c Code) Status() int {
	switch c {
	case BadMessage:
		return http.StatusBadRequest
	case BadToken, TokenExpired:
		return http.StatusUnauthorized
	case Forbidden:
		return http.StatusForbidden
	case NotFound:
		return http.StatusNotFound
	case BadSeq, BadVersion, ClientTaken, Replaced, Exists:
		return http.StatusConflict
	case Deleted, Gone:
		return http.StatusGone
	case TooLarge:
		return http.StatusRequestEntityTooLarge
	case BadOp:
		return http.StatusUnprocessableEntity
	case RateLimited:
		return http.StatusTooManyRequests
	case Unavailable, Draining, Slow:
		return http.StatusServiceUnavailable
	}
	return http.StatusInternalServerError
}

// Error is a refusal with a code: what clients are told, and why.
type Error struct {
	Code    Code
	Msg     string // for people; never holds document text or a token
	Seq     int64  // of the refused operation, or 0
	RetryMS int64  // when to come again, or 0
}

func (e *Error) Error() string { return string(e.Code) + ": " + e.Msg }
