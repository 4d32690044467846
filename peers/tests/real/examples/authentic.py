# Verifies the check values of all authentication headers in a capture: FILE KEY. scapy raises where one is wrong.
import sys

from scapy.layers.inet import IP, IPerror
from scapy.layers.inet6 import IPerror6, IPv6, IPv6ExtHdrFragment, defragment6
from scapy.layers.ipsec import AH, SecurityAssociation
from scapy.utils import rdpcap

file, key = sys.argv[1:]
packets, fragments = [], {}
for frame in rdpcap(file):
    if IPerror in frame or IPerror6 in frame:
        # An error of the peer's, which quotes one.
        continue
    if IPv6ExtHdrFragment in frame:
        fragments.setdefault(frame[IPv6ExtHdrFragment].id, []).append(frame[IPv6])
    elif AH in frame:
        packets.append(frame[IPv6 if frame.type == 0x86DD else IP])
whole = [IPv6(bytes(defragment6(pieces))) for pieces in fragments.values()]
packets += [packet for packet in whole if AH in packet]
for packet in packets:
    association = SecurityAssociation(AH, spi=packet[AH].spi, auth_algo="SHA2-256-128", auth_key=key.encode())
    association.decrypt(packet)
print(len(packets), "packets are authentic")
