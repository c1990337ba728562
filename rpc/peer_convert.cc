#include "rpc/peer_convert.h"
