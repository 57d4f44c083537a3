module github.com/weft-collab/weft

go 1.26

require (
	github.com/go-json-experiment/json v1.27.2 // indirect
	github.com/sergi/go-diff v1.4.0 // indirect
)
