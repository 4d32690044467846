# Verifies the check values of all authentication headers in a capture: FILE KEY. scapy raises where one is wrong.
import sys

from scapy.layers.inet import IP
from scapy.layers.inet6 import IPv6
from scapy.layers.ipsec import AH, SecurityAssociation
from scapy.utils import rdpcap

file, key = sys.argv[1:]
verified = 0
for frame in rdpcap(file):
    if AH not in frame:
        continue
    packet = frame[IPv6 if frame.type == 0x86DD else IP]
    carried = packet.nh if isinstance(packet, IPv6) else packet.proto
    if carried != 51:
        # An error of the peer's, which quotes one.
        continue
    association = SecurityAssociation(AH, spi=frame[AH].spi, auth_algo="SHA2-256-128", auth_key=key.encode())
    association.decrypt(packet)
    verified += 1
print(verified, "packets are authentic")
