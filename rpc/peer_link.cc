#include "rpc/peer_link.h"
