#include "rpc/message_network.h"
