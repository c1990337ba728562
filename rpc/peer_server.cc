#include "rpc/peer_server.h"
