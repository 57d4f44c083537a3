package protocol

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
	Draining     Code = "draining"  // bye and HTTP alone
	Exists       Code = "exists"    // HTTP alone
	Gone         Code = "gone"      // HTTP alone: the history was folded away
)

// Error is a refusal with a code: what clients are told, and why.
type Error struct {
	Code    Code
	Msg     string // for people; never holds document text or a token
	Seq     int64  // of the refused operation, or 0
	RetryMS int64  // when to come again, or 0
}

func (e *Error) Error() string { return string(e.Code) + ": " + e.Msg }
