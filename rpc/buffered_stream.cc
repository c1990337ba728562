#include "rpc/buffered_stream.h"
