module github.com/weft-collab/weft

go 1.26
