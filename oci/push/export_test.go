package push

var Write = write
